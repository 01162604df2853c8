//! Receivers of notifications: an HTTP server and a mail server that refuse at first.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

/// What a receiver got, and how it answers next.
#[derive(Clone, Default)]
pub struct Inbox<T> {
    pub got: Arc<Mutex<Vec<T>>>,
    /// Answers that come before it takes anything; then it takes everything.
    pub refusals: Arc<Mutex<Vec<String>>>,
}

impl<T: Clone> Inbox<T> {
    pub fn got(&self) -> Vec<T> {
        self.got.lock().unwrap().clone()
    }

    fn refusal(&self) -> Option<String> {
        self.refusals.lock().unwrap().pop()
    }
}

/// An HTTP call: its headers, its body, whether it was taken.
pub type Call = (HeaderMap, Bytes, bool);

/// An HTTP server; returns its address. It refuses with the status codes given.
pub async fn http_server(refusals: &[&str]) -> (String, Inbox<Call>) {
    let (app, inbox) = hook(refusals);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, inbox)
}

/// What such a server does.
pub fn hook(refusals: &[&str]) -> (Router, Inbox<Call>) {
    async fn take(State(inbox): State<Inbox<Call>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let refusal = inbox.refusal();
        let taken = refusal.is_none();
        inbox.got.lock().unwrap().push((headers, body, taken));
        refusal.map_or(StatusCode::NO_CONTENT, |code| code.parse().unwrap())
    }
    let inbox = Inbox::default();
    inbox
        .refusals
        .lock()
        .unwrap()
        .extend(refusals.iter().rev().map(ToString::to_string));
    let app = Router::new()
        .route("/hook", post(take))
        .with_state(inbox.clone());
    (app, inbox)
}

/// A letter: whom it was for, and its text.
pub type Posted = (String, String);

/// A mail server (RFC 5321, as much of it as a client says); returns its address.
/// It refuses recipients with the replies given.
pub async fn mail_server(refusals: &[&str]) -> (String, Inbox<Posted>) {
    let inbox = Inbox::default();
    inbox
        .refusals
        .lock()
        .unwrap()
        .extend(refusals.iter().rev().map(ToString::to_string));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let shared = inbox.clone();
    tokio::spawn(async move {
        while let Ok((line, _)) = listener.accept().await {
            tokio::spawn(take_mail(line, shared.clone()));
        }
    });
    (url, inbox)
}

/// One conversation of such a server.
pub async fn take_mail(
    line: impl AsyncRead + AsyncWrite + Unpin,
    inbox: Inbox<Posted>,
) -> std::io::Result<()> {
    let mut line = BufReader::new(line);
    line.write_all(b"220 test ESMTP\r\n").await?;
    let (mut to, mut said) = (String::new(), String::new());
    while line.read_line(&mut said).await? > 0 {
        let verb = said.get(..4).unwrap_or_default().to_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => "250-test\r\n250 8BITMIME".to_owned(),
            "RCPT" => {
                to = said.trim().to_owned();
                inbox.refusal().unwrap_or_else(|| "250 ok".to_owned())
            }
            "DATA" => {
                line.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    line.read_line(&mut text).await?;
                }
                inbox.got.lock().unwrap().push((to.clone(), text));
                "250 taken".to_owned()
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        line.write_all(format!("{reply}\r\n").as_bytes()).await?;
        said.clear();
    }
    Ok(())
}
