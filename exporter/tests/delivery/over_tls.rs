//! TLS with an authority of the user's own, and client certificates.

use std::net::TcpListener;
use std::sync::Arc;

use agentsight::otlp::sender::SenderState;
use agentsight::otlp::settings::Endpoint;
use agentsight::store::{Counts, Kind};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Certificate, Identity as ServerIdentity, ServerTlsConfig};

use crate::certificate::Authority;
use crate::desk::{Desk, endpoint_with_files, until};
use crate::grpc_receiver::GrpcReceiver;
use crate::http_receiver::{HttpReceiver, answer};

/// Whether the server wants to know its clients.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Clients {
    Any,
    Known,
}

pub(crate) async fn grpc(authority: &Authority, clients: Clients) -> GrpcReceiver {
    let identity = authority.issue();
    let mut tls = ServerTlsConfig::new().identity(ServerIdentity::from_pem(identity.certificate, identity.key));
    if clients == Clients::Known {
        tls = tls.client_ca_root(Certificate::from_pem(authority.pem()));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    GrpcReceiver::listening(listener, Some(tls), |_, _| Ok(ExportTraceServiceResponse::default())).await
}

pub(crate) async fn http(authority: &Authority, clients: Clients) -> HttpReceiver {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let identity = authority.issue();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = rustls::ServerConfig::builder();
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Known => {
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        }
    };
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = builder.with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    HttpReceiver::listening(Some(acceptor), |_| answer("200 OK", &[], "")).await
}

pub(crate) fn trusting(url: &str, protocol: &str, authority: &Authority) -> Endpoint {
    let variables = [("PROTOCOL", protocol), ("CERTIFICATE", "ca.pem")];
    endpoint_with_files(url, &variables, &[("ca.pem", &authority.pem())])
}

fn known(url: &str, protocol: &str, authority: &Authority) -> Endpoint {
    let identity = authority.issue();
    let variables = [
        ("PROTOCOL", protocol),
        ("CERTIFICATE", "ca.pem"),
        ("CLIENT_CERTIFICATE", "client.pem"),
        ("CLIENT_KEY", "client.key"),
    ];
    let files = [("ca.pem", authority.pem()), ("client.pem", identity.certificate), ("client.key", identity.key)];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    endpoint_with_files(url, &variables, &files)
}

async fn assert_delivered(settings: &Endpoint) {
    let progress = Desk::new().deliver(3, settings).await;
    assert_eq!(progress.counts, Counts { sent: 3, ..Counts::default() }, "{settings:?}");
}

/// The rows stay in the store: certificates can be mended, lost spans cannot.
async fn assert_kept(settings: &Endpoint) -> String {
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, settings);
    desk.append("test", 1..=3);
    let sender = desk.sender(id).await;
    let progress = until(&sender, |state| matches!(state, SenderState::Waiting(_))).await;
    assert_eq!(progress.counts, Counts { pending: 3, ..Counts::default() });
    match progress.state {
        SenderState::Waiting(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_of_the_users_own_authority_is_trusted() {
    let authority = Authority::new();
    let receiver = grpc(&authority, Clients::Any).await;
    assert_delivered(&trusting(&format!("https://{}", receiver.address), "grpc", &authority)).await;
    let receiver = http(&authority, Clients::Any).await;
    assert_delivered(&trusting(&format!("https://{}", receiver.address), "http/protobuf", &authority)).await;
}

#[tokio::test]
async fn a_server_of_another_authority_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let receiver = grpc(&authority, Clients::Any).await;
    let said = assert_kept(&trusting(&format!("https://{}", receiver.address), "grpc", &other)).await;
    assert!(said.contains("certificate"), "{said}");
    assert!(receiver.seen().is_empty());
    let receiver = http(&authority, Clients::Any).await;
    let said = assert_kept(&trusting(&format!("https://{}", receiver.address), "http/protobuf", &other)).await;
    assert!(said.contains("certificate"), "{said}");
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_client_certificate_opens_a_server_that_wants_one() {
    let authority = Authority::new();
    let receiver = grpc(&authority, Clients::Known).await;
    let url = format!("https://{}", receiver.address);
    assert_delivered(&known(&url, "grpc", &authority)).await;
    assert_kept(&trusting(&url, "grpc", &authority)).await;
    let receiver = http(&authority, Clients::Known).await;
    let url = format!("https://{}", receiver.address);
    assert_delivered(&known(&url, "http/protobuf", &authority)).await;
    assert_kept(&trusting(&url, "http/protobuf", &authority)).await;
}
