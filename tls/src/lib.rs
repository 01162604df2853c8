//! TLS as a client, over any byte stream: what edges and back end reach Redis by.
//!
//! It decides whom to trust, and by which name a server is known, once for both. It opens no
//! connection and reads no file.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The authorities of Debian's package ca-certificates.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whom to trust, and by which name the server is known.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Trusts the authorities in `ca`, text in PEM; shows the certificate and key of
    /// `identity` if the server requests one; expects `name` in the server's
    /// certificate, or the host that is connected to.
    ///
    /// # Errors
    /// A sentence that begins with the argument that is wrong.
    pub fn new(
        ca: &[u8],
        identity: Option<(&[u8], &[u8])>,
        name: Option<&str>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            let certificate = certificate.map_err(|error| format!("ca= is no PEM: {error}"))?;
            // The system's list has some that are too old to be of use.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err("ca= has no certificate; it must be a PEM file".to_owned());
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
                    .collect::<Result<_, _>>()
                    .map_err(|error| format!("cert= is no PEM: {error}"))?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("key= is no PEM of a private key: {error}"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("cert= and key= do not fit: {error}"))?
            }
        };
        let name = name.map(|text| {
            ServerName::try_from(text.to_owned()).map_err(|_| {
                format!("tls_name \"{text}\" must be a host name, as in redis.internal")
            })
        });
        Ok(Self {
            config: Arc::new(config),
            name: name.transpose()?,
        })
    }

    /// Speaks TLS over a stream to `host`.
    ///
    /// # Errors
    /// The stream's, or that the certificate is not trusted, with the cure.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
    ) -> io::Result<TlsStream<S>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        let connected = TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await;
        connected.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("TLS: {error}; see ca=, tls_name= and the server's certificate"),
            )
        })
    }
}
