//! TLS as a client, over any byte stream: what edges and back end reach Redis by.
//!
//! It decides whom to trust, and by which name a server is known, once for both. It opens no
//! connection and reads no file.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

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
    /// The stream's, or that one side does not trust the other's certificate, with the cure.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
    ) -> io::Result<Secured<S>> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        let connected = TlsConnector::from(Arc::clone(&self.config))
            .connect(name, stream)
            .await;
        connected.map(Secured).map_err(with_cure)
    }
}

/// A stream in TLS. In its version 1.3 a server refuses a client's certificate, or that
/// there is none, after the handshake: then reading fails, with the cure.
#[derive(Debug)]
pub struct Secured<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        read.map_err(|error| match is_alert(&error) {
            true => with_cure(error),
            false => error,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Whether the server says what is wrong with this side.
fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let said = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(said, Some(rustls::Error::AlertReceived(_)))
}

fn with_cure(error: io::Error) -> io::Error {
    let cure = match is_alert(&error) {
        true => "see cert= and key=, by which the server knows its clients",
        false => "see ca=, tls_name= and the server's certificate",
    };
    io::Error::new(error.kind(), format!("TLS: {error}; {cure}"))
}
