//! TLS towards others: their certificate and name are verified against the system's authorities or those of one file. There
//! is no way to switch that off.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where systems keep the certificates of the authorities they trust.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
];

/// Why a connection is not secure, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    pub why: String,
    pub hint: &'static str,
}

impl Untrusted {
    pub fn new(why: impl Into<String>, hint: &'static str) -> Self {
        Self { why: why.into(), hint }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, ": {}", self.hint) }
    }
}

/// How the one who asks is set: what a refusal tells to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Hints {
    /// There is no list of authorities.
    pub no_list: &'static str,
    /// The authority is unknown.
    pub authority: &'static str,
    /// The certificate is for another name.
    pub name: &'static str,
}

/// Whom we trust. Certificates are read when the first https server is asked.
#[derive(Clone)]
pub struct Trust {
    ca_file: Option<PathBuf>,
    hints: &'static Hints,
    config: Arc<OnceLock<Result<Arc<ClientConfig>, Untrusted>>>,
}

impl Trust {
    /// The authorities of a PEM file, else the system's.
    pub fn new(ca_file: Option<PathBuf>, hints: &'static Hints) -> Self {
        Self { ca_file, hints, config: Arc::default() }
    }

    /// Whether there is somebody to trust: what [`Trust::secure`] would say of the certificates.
    pub fn check(&self) -> Result<(), Untrusted> {
        self.config().map(drop)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Untrusted> {
        self.config.get_or_init(|| config(self.ca_file.as_deref(), self.hints)).clone()
    }

    /// Shakes hands with the server that is called `host`.
    pub async fn secure(&self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, Untrusted> {
        self.secure_as(stream, host, &[]).await
    }

    /// As [`Trust::secure`], saying which protocol is to be spoken inside.
    pub async fn secure_as(
        &self,
        stream: TcpStream,
        host: &str,
        protocol: &[u8],
    ) -> Result<TlsStream<TcpStream>, Untrusted> {
        let mut config = self.config()?;
        if !protocol.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Untrusted::new(format!("no certificate can be for the name {host}"), ""))?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| refused(&error, host, self.hints))
    }
}

fn config(ca_file: Option<&Path>, hints: &Hints) -> Result<Arc<ClientConfig>, Untrusted> {
    let roots = match ca_file {
        Some(file) => roots(file)?,
        None => roots(&bundle(hints)?)?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| Untrusted::new(format!("TLS cannot be set up: {error}"), ""))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// `SSL_CERT_FILE`, as other programs read it, else the system's bundle.
fn bundle(hints: &Hints) -> Result<PathBuf, Untrusted> {
    let named = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    named
        .or_else(|| BUNDLES.iter().map(PathBuf::from).find(|file| file.is_file()))
        .ok_or_else(|| Untrusted::new("this system has no list of trusted certificates", hints.no_list))
}

fn roots(file: &Path) -> Result<RootCertStore, Untrusted> {
    let unreadable = |why: String| Untrusted::new(format!("{}: {why}", file.display()), "");
    let text = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(unreadable("no certificate in it (PEM, -----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(roots)
}

/// A failed handshake in words that say what to do.
fn refused(error: &io::Error, host: &str, hints: &Hints) -> Untrusted {
    let inner = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::UnknownIssuer => Untrusted::new(
                "the server's certificate is from an authority that is not trusted here",
                hints.authority,
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Untrusted::new(format!("the server's certificate is for another name than {host}"), hints.name)
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Untrusted::new("the server's certificate has expired", "renew it, or check this machine's clock")
            }
            other => Untrusted::new(format!("the server's certificate is refused: {other}"), ""),
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            Untrusted::new("what listens there does not speak TLS", "an http:// address may be meant")
        }
        Some(other) => Untrusted::new(format!("no TLS connection: {other}"), ""),
        None => Untrusted::new(format!("the TLS handshake broke off: {error}"), "an http:// address may be meant"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: Hints = Hints { no_list: "", authority: "", name: "" };

    #[test]
    fn a_file_without_certificates_is_told_from_one_that_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let why = |file: &Path| config(Some(file), &HINTS).map(drop).unwrap_err().why;
        assert!(why(&file).contains("No such file"), "{}", why(&file));
        std::fs::write(&file, "not a certificate").unwrap();
        assert!(why(&file).contains("no certificate in it"), "{}", why(&file));
    }
}
