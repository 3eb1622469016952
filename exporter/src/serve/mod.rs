//! `agentsight serve`: questions over HTTP. Read-only; on the loopback interface unless TLS is set up; each request needs the
//! token, has a time limit, and an answer has a size limit. Contents need a token of their own, and Jaeger's API has none.

mod answer;
mod connection;
mod jaeger;
mod open;
mod parameters;
mod right;
mod route;
mod token;
mod v1;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use open::OpenStore;
pub use right::{SameToken, Tokens};
pub use token::{Token, TokenError};

use crate::store::StoreError;

/// What is served, and to whom.
#[derive(Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Which store answers.
    pub store: OpenStore,
    /// What whoever asks must know.
    pub tokens: Tokens,
    /// PEM files of a certificate chain and its key.
    pub tls: Option<TlsFiles>,
    /// How long one answer may take.
    pub time_limit: Duration,
}

/// A certificate chain and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anybody could listen in.
    #[error(
        "to listen on {0}, where others can reach it, give a certificate: --tls-certificate FILE --tls-key FILE\nor listen on 127.0.0.1 alone"
    )]
    NotPrivate(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Its answer.
        source: io::Error,
    },
    /// A TLS file.
    #[error("cannot use {path:?} for TLS: {trouble}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        trouble: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The runtime.
    #[error("the server could not be started: {0}")]
    Runtime(#[source] io::Error),
}

/// Answers at the same time; more wait.
const ANSWERS_AT_ONCE: usize = 4;

/// What every request needs.
#[derive(Debug)]
struct Desk {
    store: OpenStore,
    tokens: Tokens,
    turns: Semaphore,
    time_limit: Duration,
    zone: TimeZone,
}

/// Serves until the process is told to end (Ctrl-C). `ready` is called with the address once it answers.
///
/// # Errors
/// When it cannot begin.
pub fn serve(options: Options, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    if !options.listen.ip().is_loopback() && options.tls.is_none() {
        return Err(ServeError::NotPrivate(options.listen));
    }
    let acceptor = options.tls.as_ref().map(acceptor).transpose()?;
    // Said now, not at the first request.
    options.store.put_back(options.store.open()?);
    let desk = Arc::new(Desk {
        store: options.store,
        tokens: options.tokens,
        turns: Semaphore::new(ANSWERS_AT_ONCE),
        time_limit: options.time_limit,
        zone: TimeZone::system(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("serve")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let address = options.listen;
    runtime.block_on(async {
        let failed = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        ready(listener.local_addr().map_err(failed)?);
        connection::accept_all(listener, acceptor, desk).await;
        Ok(())
    })
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let trouble = |path: &Path| {
        let path = path.to_owned();
        move |trouble: String| ServeError::Tls { path, trouble }
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|error| trouble(&files.certificate)(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| trouble(&files.key)(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| trouble(&files.certificate)(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
