//! Receivers that are reached over TLS, with an authority of their own: they are
//! notified if this machine trusts it, and otherwise the log says what to do.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::serve::Listener;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seckill_core::orders::notification::Channel;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::common::authority::Authority;
use crate::common::receivers::{Inbox, Posted, hook, take_mail};
use crate::common::shop::Shop;
use crate::common::{eventually, program};

/// Serves with the authority's certificate.
fn acceptor(authority: &Authority) -> TlsAcceptor {
    let cert = CertificateDer::from_pem_file(authority.file("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(authority.file("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Connections of clients that trust it.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Secure {
    async fn open(authority: &Authority) -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = acceptor(authority);
        (Self { listener, acceptor }, port)
    }
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((line, from)) = self.listener.accept().await else {
                continue;
            };
            // A client that does not trust it hangs up.
            if let Ok(line) = self.acceptor.accept(line).await {
                return (line, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn secure_mail(authority: &Authority) -> (u16, Inbox<Posted>) {
    let inbox = Inbox::default();
    let (mut secure, port) = Secure::open(authority).await;
    let shared = inbox.clone();
    tokio::spawn(async move {
        loop {
            let (line, _) = secure.accept().await;
            tokio::spawn(take_mail(line, shared.clone()));
        }
    });
    (port, inbox)
}

/// `seckill serve --roles orders`, ended when dropped.
struct Teller(Child);

impl Teller {
    fn start(shop: &Shop, (hook, mail): (u16, u16), folder: &Path, trusted: Option<&Path>) -> Self {
        let mut command = program();
        command
            .args(["serve", "--roles", "orders"])
            .env("SECKILL_DATA", folder)
            .env("SECKILL_REDIS_URL", shop.redis.url())
            .env("SECKILL_DATABASE_URL", &shop.database_url)
            .env(
                "SECKILL_NOTIFY_WEBHOOK",
                format!("https://localhost:{hook}/hook"),
            )
            .env("SECKILL_NOTIFY_SMTP", format!("smtps://localhost:{mail}"))
            .env("SECKILL_NOTIFY_FROM", "Shop <shop@example.com>")
            .env("SECKILL_NOTIFY_EMAIL", "{user}@example.com")
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("said")).unwrap());
        match trusted {
            Some(file) => command.env("SSL_CERT_FILE", file),
            None => command.env_remove("SSL_CERT_FILE"),
        };
        Self(command.spawn().unwrap())
    }

    /// Lets it put down what it did.
    fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_trusted_gets_nothing_until_its_authority_is_named() {
    let authority = Authority::new();
    let (app, calls) = hook(&[]);
    let (secure, hook_port) = Secure::open(&authority).await;
    tokio::spawn(async move { axum::serve(secure, app).await.unwrap() });
    let (mail_port, letters) = secure_mail(&authority).await;
    let ports = (hook_port, mail_port);

    let channels = [Channel::Webhook, Channel::Email];
    let mut shop = Shop::open_notifying(10, seckill::shop::Options::default(), &channels).await;
    shop.run_all();
    assert_eq!(shop.click("li", "r").await.0, StatusCode::ACCEPTED);
    shop.until_ordered("li").await;

    let folder = TempDir::new().unwrap();
    let keys = format!("p1 {}", "p".repeat(32));
    let key_file = folder.path().join("notify-keys");
    fs::write(&key_file, keys).unwrap();
    let teller = Teller::start(&shop, ports, folder.path(), None);
    let said = eventually("both say why nothing was sent", || async {
        let said = fs::read_to_string(folder.path().join("said")).unwrap();
        (said.matches("notification not sent").count() >= 2).then_some(said)
    })
    .await;
    teller.stop();
    let failures: Vec<&str> = said
        .lines()
        .filter(|it| it.contains("notification not sent"))
        .collect();
    for channel in ["webhook", "email"] {
        let of = |line: &&&str| line.contains(channel);
        let why = failures.iter().find(of).unwrap();
        assert!(why.contains("UnknownIssuer"), "{why}");
        assert!(why.contains("SSL_CERT_FILE"), "the cure is named: {why}");
    }
    assert!(calls.got().is_empty() && letters.got().is_empty());

    let trusted = authority.file("ca.pem");
    let teller = Teller::start(&shop, ports, folder.path(), Some(&trusted));
    eventually("both are notified", || async {
        (calls.got().len() == 1 && letters.got().len() == 1).then_some(())
    })
    .await;
    assert!(letters.got()[0].0.contains("li@example.com"));
    assert!(calls.got()[0].0.contains_key("x-seckill-signature"));
    teller.stop();
    shop.shut().await;
}
