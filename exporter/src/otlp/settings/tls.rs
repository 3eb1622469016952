//! Certificates and keys, as the contents of the files that the variables name.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use super::source::{Given, variable};
use super::{SettingsError, SignalName};

/// What TLS needs beside the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `…_CERTIFICATE`: trust these authorities alone; otherwise the system's.
    pub authorities: Option<Pem>,
    /// `…_CLIENT_CERTIFICATE` and `…_CLIENT_KEY`.
    pub identity: Option<(Pem, Pem)>,
}

/// Text in PEM form; may be a private key, so it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pem(pub String);

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(…)")
    }
}

pub(super) fn parse(
    signal: SignalName,
    environment: &BTreeMap<String, String>,
    read_file: &impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Tls, SettingsError> {
    let given = |suffix| variable(environment, signal, suffix);
    let authorities = match given("CERTIFICATE") {
        Some(given) => Some(read(&given, read_file, holds_certificate, "a certificate")?),
        None => None,
    };
    let identity = match (given("CLIENT_CERTIFICATE"), given("CLIENT_KEY")) {
        (Some(certificate), Some(key)) => Some((
            read(&certificate, read_file, holds_certificate, "a certificate")?,
            read(&key, read_file, holds_key, "a private key")?,
        )),
        (None, None) => None,
        (Some(given), None) => return Err(half(given.name, "CERTIFICATE", "KEY")),
        (None, Some(given)) => return Err(half(given.name, "KEY", "CERTIFICATE")),
    };
    Ok(Tls { authorities, identity })
}

fn read(
    given: &Given,
    read_file: &impl Fn(&Path) -> io::Result<Vec<u8>>,
    is_good: fn(&[u8]) -> bool,
    expected: &'static str,
) -> Result<Pem, SettingsError> {
    let path = Path::new(&given.value);
    let bytes = read_file(path).map_err(|source| SettingsError::File {
        name: given.name.clone(),
        path: path.to_owned(),
        source,
    })?;
    let bad = || SettingsError::Pem { name: given.name.clone(), path: path.to_owned(), expected };
    if !is_good(&bytes) {
        return Err(bad());
    }
    String::from_utf8(bytes).map(Pem).map_err(|_| bad())
}

fn holds_certificate(bytes: &[u8]) -> bool {
    let mut found = CertificateDer::pem_slice_iter(bytes).peekable();
    found.peek().is_some() && found.all(|certificate| certificate.is_ok())
}

fn holds_key(bytes: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(bytes).is_ok()
}

fn half(given: String, has: &str, lacks: &str) -> SettingsError {
    let missing = given.replace(&format!("CLIENT_{has}"), &format!("CLIENT_{lacks}"));
    SettingsError::HalfAnIdentity { given, missing }
}
