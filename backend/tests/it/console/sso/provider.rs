//! An OpenID provider that signs as a real one does, and misbehaves as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::common::now_ms;
use crate::login::jwt::Key;

pub(super) const CLIENT: &str = "the console";
pub(super) const SECRET: &str = "a secret: of / the console";
pub(super) const REDIRECT: &str = "https://console.test/ops/api/login/oidc/callback";

/// How it responds to a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Hangs,
    Huge,
    Broken,
    NoToken,
}

/// What a browser brought from the console: the parameters of the address.
pub(super) type Asked = HashMap<String, String>;

/// A code that was handed out: for which login, and the token for it.
struct Granted {
    challenge: String,
    token: String,
}

pub(super) struct Said {
    pub(super) keys: Vec<Value>,
    pub(super) metadata: Value,
    pub(super) mood: Mood,
    granted: HashMap<String, Granted>,
    pub(super) reads: u32,
    codes: u32,
}

#[derive(Clone)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) key: Arc<Key>,
    said: Arc<Mutex<Said>>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new("k1");
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "authorization_response_iss_parameter_supported": true,
        });
        let provider = Self {
            said: Arc::new(Mutex::new(Said {
                keys: vec![key.jwk()],
                metadata,
                mood: Mood::Well,
                granted: HashMap::new(),
                reads: 0,
                codes: 0,
            })),
            key: Arc::new(key),
            issuer,
        };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        provider
    }

    pub(super) fn tell<T>(&self, change: impl FnOnce(&mut Said) -> T) -> T {
        change(&mut self.said.lock().unwrap())
    }

    /// What it says of a person who has just logged in.
    pub(super) fn claims(&self, asked: &Asked, subject: &str) -> Value {
        let now = now_ms() / 1_000;
        json!({
            "iss": self.issuer, "aud": CLIENT, "sub": subject, "nonce": asked["nonce"],
            "iat": now, "exp": now + 300,
        })
    }

    /// A code for a token, which is good once and for whoever has the verifier.
    pub(super) fn grant(&self, asked: &Asked, token: String) -> String {
        let challenge = asked["code_challenge"].clone();
        self.tell(|said| {
            said.codes += 1;
            let code = format!("code-{}", said.codes);
            let granted = Granted { challenge, token };
            said.granted.insert(code.clone(), granted);
            code
        })
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    Json(provider.tell(|said| {
        said.reads += 1;
        said.metadata.clone()
    }))
}

async fn jwks(State(provider): State<Provider>) -> Json<Value> {
    Json(provider.tell(|said| json!({ "keys": said.keys })))
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let mood = provider.tell(|said| said.mood);
    match mood {
        Mood::Well => {}
        Mood::Hangs => std::future::pending().await,
        Mood::Huge => {
            return (
                StatusCode::OK,
                format!("{{\"id_token\":\"{}", "x".repeat(4 << 20)),
            );
        }
        Mood::Broken => return (StatusCode::BAD_GATEWAY, "<html>".to_owned()),
        Mood::NoToken => return (StatusCode::OK, json!({ "access_token": "a" }).to_string()),
    }
    let refuse = |error: &str| {
        let body = json!({ "error": error, "error_description": "as the test wants" });
        (StatusCode::BAD_REQUEST, body.to_string())
    };
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
    if headers["authorization"] != format!("Basic {pair}") {
        return refuse("invalid_client");
    }
    let granted = provider.tell(|said| said.granted.remove(&form["code"]));
    let Some(granted) = granted else {
        return refuse("invalid_grant");
    };
    let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    if shown != granted.challenge
        || form["redirect_uri"] != REDIRECT
        || form["grant_type"] != "authorization_code"
    {
        return refuse("invalid_grant");
    }
    let body = json!({ "id_token": granted.token, "access_token": "a", "token_type": "Bearer" });
    (StatusCode::OK, body.to_string())
}
