//! Tokens of the shop's own login, as a provider signs them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::AsyncCommands as _;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use seckill_core::gate::directive::jwt::{Jwks, Jwt};
use seckill_core::keys;
use seckill_core::signing::jwt::Policy;
use seckill_core::signing::keyring::Keyring;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::common::shop::Shop;
use crate::common::{cookie, eventually, now_ms};

const ISSUER: &str = "https://login.example.com/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn assemble(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let parts = [header, claims].map(|part| encode(part.to_string().as_bytes()));
    let signed = parts.join(".");
    let signature = encode(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A key of a provider.
pub struct Key {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            kid: kid.to_owned(),
            pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid, "x": x })
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": "EdDSA", "kid": self.kid }), claims)
    }

    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        assemble(header, claims, |text| {
            self.pair.sign(text).as_ref().to_vec()
        })
    }
}

/// What a provider says of `user`.
pub fn claims(user: &str) -> Value {
    let now = now_ms() / 1000;
    json!({ "iss": ISSUER, "aud": "shop", "sub": user, "iat": now, "exp": now + 600 })
}

fn with(name: &str, value: Value) -> Value {
    let mut all = claims("li");
    all[name] = value;
    all
}

/// A provider: what it publishes, or that it is away; and how often it was asked.
#[derive(Clone, Default)]
pub struct Provider {
    published: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<u32>>,
}

impl Provider {
    pub async fn start(keys: &[&Key]) -> (Self, String) {
        async fn jwks(State(provider): State<Provider>) -> (StatusCode, String) {
            *provider.asked.lock().unwrap() += 1;
            match provider.published.lock().unwrap().clone() {
                Some(text) => (StatusCode::OK, text),
                None => (StatusCode::BAD_GATEWAY, "<html>".to_owned()),
            }
        }
        let provider = Self::default();
        provider.publish(keys);
        let app = Router::new()
            .route("/jwks", get(jwks))
            .with_state(provider.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (provider, url)
    }

    fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        *self.published.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn go_away(&self) {
        *self.published.lock().unwrap() = None;
    }
}

pub fn settings(jwks: Jwks) -> Jwt {
    Jwt {
        jwks,
        policy: Policy {
            claim: "sub".to_owned(),
            issuer: Some(ISSUER.to_owned()),
            audiences: vec!["shop".to_owned()],
        },
        cookie: "token".to_owned(),
    }
}

async fn shop(url: &str) -> Shop {
    let mut shop = Shop::open(100).await;
    shop.believe(settings(Jwks::Url(url.to_owned()))).await;
    shop
}

fn with_token(request: Builder, token: &str) -> Request<Body> {
    let request = request.header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

async fn session(shop: &Shop, token: &str) -> (StatusCode, Value) {
    shop.send(with_token(Request::get("/api/session"), token))
        .await
}

#[tokio::test]
async fn a_token_names_the_buyer_in_its_header_and_in_its_cookie() {
    let key = Key::new("k1");
    let (_, url) = Provider::start(&[&key]).await;
    let shop = shop(&url).await;
    let token = key.token(&claims("auth0|5f7c"));
    let (status, body) = session(&shop, &token).await;
    assert_eq!(
        (status, &body["user"]),
        (StatusCode::OK, &"auth0|5f7c".into())
    );
    let by_cookie = Request::get("/api/session").header("cookie", format!("a=b; token={token}"));
    let (_, body) = shop.send(by_cookie.body(Body::empty()).unwrap()).await;
    assert_eq!(body["user"], "auth0|5f7c");
    // Another scheme is not a token, and a session of ours is one still.
    let other = Request::get("/api/session")
        .header("authorization", "Basic c2hvcDpzaG9w")
        .header("cookie", cookie("wang"));
    let (_, body) = shop.send(other.body(Body::empty()).unwrap()).await;
    assert_eq!(body["user"], "wang");
    let path = "/api/orders?page=1";
    let orders = shop.send(with_token(Request::get(path), &token)).await;
    assert_eq!(orders.0, StatusCode::OK);
    shop.shut().await;
}

#[tokio::test]
async fn keys_rotate_without_a_refusal() {
    let (may, june) = (Key::new("may"), Key::new("june"));
    let (provider, url) = Provider::start(&[&may]).await;
    let shop = shop(&url).await;
    let old = may.token(&claims("li"));
    assert_eq!(session(&shop, &old).await.0, StatusCode::OK);
    // The provider signs with its new key in the moment in which it publishes it; the
    // shop has read the set a moment ago, and reads it again no sooner than it may.
    provider.publish(&[&may, &june]);
    let new = june.token(&claims("wang"));
    eventually("the new key is read", || async {
        let (status, _) = session(&shop, &new).await;
        assert_eq!(session(&shop, &old).await.0, StatusCode::OK);
        (status == StatusCode::OK).then_some(())
    })
    .await;
    // What is taken out of the set is believed no more, though it was verified before.
    provider.publish(&[&june]);
    let newest = Key::new("july").token(&claims("zhao"));
    eventually("the old key is gone", || async {
        // An unknown key makes the shop look.
        assert_eq!(
            session(&shop, &newest).await.1["reason"],
            "token_unknown_key"
        );
        (session(&shop, &old).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn while_the_key_set_is_away_the_last_one_is_in_force_and_before_the_first_nothing_is_known()
{
    let key = Key::new("k1");
    let (provider, url) = Provider::start(&[&key]).await;
    provider.go_away();
    let shop = shop(&url).await;
    let token = key.token(&claims("li"));
    let (status, body) = session(&shop, &token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    provider.publish(&[&key]);
    eventually("the key set is read", || async {
        (session(&shop, &token).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    provider.go_away();
    let other = key.token(&claims("wang"));
    assert_eq!(session(&shop, &other).await.0, StatusCode::OK);
    let unknown = Key::new("k2").token(&claims("wang"));
    let (status, body) = session(&shop, &unknown).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["reason"], "token_unknown_key");
    shop.shut().await;
}

#[tokio::test]
async fn strangers_with_unknown_keys_do_not_make_the_shop_ask_again_and_again() {
    let key = Key::new("k1");
    let (provider, url) = Provider::start(&[&key]).await;
    let shop = shop(&url).await;
    for number in 0..50 {
        let unknown = Key::new(&format!("x{number}")).token(&claims("li"));
        assert_eq!(session(&shop, &unknown).await.0, StatusCode::UNAUTHORIZED);
    }
    let asked = *provider.asked.lock().unwrap();
    // Once at the start, and then once in five seconds.
    assert!(asked < 50, "{asked}");
    shop.shut().await;
}

#[tokio::test]
async fn every_reason_has_a_code_and_a_sentence() {
    let key = Key::new("k1");
    let (_, url) = Provider::start(&[&key]).await;
    let shop = shop(&url).await;
    let now = now_ms() / 1000;
    let none = assemble(&json!({ "alg": "none" }), &claims("li"), |_| Vec::new());
    // HS256 with the public key as the secret.
    let ring = Keyring::parse(&format!("k1 {}", key.jwk()["x"].as_str().unwrap())).unwrap();
    let confused = assemble(
        &json!({ "alg": "HS256", "kid": "k1" }),
        &claims("li"),
        |text| ring.first().hmac_of(&[text]).to_vec(),
    );
    let forged = {
        let other = Key::new("k1");
        other.token(&claims("li"))
    };
    let mut endless = claims("li");
    endless.as_object_mut().unwrap().remove("exp");
    let cases = [
        ("token_malformed", "a.b.c".to_owned()),
        (
            "token_too_long",
            key.token(&with("pad", json!("x".repeat(9_000)))),
        ),
        ("token_algorithm", none),
        ("token_unknown_key", confused),
        ("token_unknown_key", Key::new("k9").token(&claims("li"))),
        ("token_signature", forged),
        ("token_expired", key.token(&with("exp", json!(now - 61)))),
        ("token_endless", key.token(&endless)),
        (
            "token_not_yet_valid",
            key.token(&with("nbf", json!(now + 120))),
        ),
        (
            "token_not_yet_valid",
            key.token(&with("iat", json!(now + 120))),
        ),
        (
            "token_too_long",
            key.token(&with("pad", json!("x".repeat(20_000)))),
        ),
        ("token_audience", key.token(&with("aud", json!("other")))),
        (
            "token_audience",
            key.token(&with("aud", json!(["Shop", "x"]))),
        ),
        (
            "token_issuer",
            key.token(&with("iss", json!("https://other/"))),
        ),
        ("token_audience", key.token(&with("aud", json!(["other"])))),
        ("token_user", key.token(&with("sub", json!("")))),
    ];
    for (reason, token) in cases {
        let (status, body) = session(&shop, &token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{reason}");
        assert_eq!(body["code"], "login_required");
        assert_eq!(body["reason"], reason);
        assert!(body["message"].as_str().unwrap().ends_with('.'), "{body}");
    }
    let ours = key.token(&with("aud", json!(["other", "shop"])));
    assert_eq!(session(&shop, &ours).await.0, StatusCode::OK);
    // Clocks a minute apart.
    for (name, at) in [("exp", now - 50), ("nbf", now + 50), ("iat", now + 50)] {
        let token = key.token(&with(name, json!(at)));
        assert_eq!(session(&shop, &token).await.0, StatusCode::OK, "{name}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn the_edges_get_the_key_set_and_can_ask_for_a_newer_one() {
    let (may, june) = (Key::new("may"), Key::new("june"));
    let (provider, url) = Provider::start(&[&may]).await;
    let shop = shop(&url).await;
    assert_eq!(
        session(&shop, &may.token(&claims("li"))).await.0,
        StatusCode::OK
    );
    let published = || async {
        let mut conn = shop.link.conn().await.ok()?;
        let text: Option<String> = conn.hget(keys::JWKS, &url).await.ok()?;
        text
    };
    let first = eventually("the set is published", published).await;
    assert!(first.contains("may") && !first.contains("june"));
    provider.publish(&[&june]);
    let mut conn = shop.link.conn().await.unwrap();
    let _: () = conn.set(keys::JWKS_WANTED, 1).await.unwrap();
    eventually("the new set is published", || async {
        published().await.filter(|text| text.contains("june"))
    })
    .await;
    // What Redis has lost is published again.
    let _: () = conn.del(keys::JWKS).await.unwrap();
    eventually("the set is published again", published).await;
    shop.shut().await;
}

#[tokio::test]
async fn a_key_set_in_a_file_is_read_again_when_it_changes() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("jwks.json");
    let secret = "a secret of thirty-two bytes and more";
    let ring = Keyring::parse(&format!("h1 {}", secret.replace(' ', "-"))).unwrap();
    let token = assemble(
        &json!({ "alg": "HS256", "kid": "h1" }),
        &claims("li"),
        |text| ring.first().hmac_of(&[text]).to_vec(),
    );
    let key = Key::new("k1");
    let file = |keys: &[Value]| json!({ "keys": keys }).to_string();
    std::fs::write(&path, file(&[key.jwk()])).unwrap();
    let mut shop = Shop::open(10).await;
    let name = path.display().to_string();
    shop.believe(settings(Jwks::File(name))).await;
    assert_eq!(
        session(&shop, &key.token(&claims("li"))).await.0,
        StatusCode::OK
    );
    assert_eq!(session(&shop, &token).await.0, StatusCode::UNAUTHORIZED);
    let secret = encode(secret.replace(' ', "-").as_bytes());
    let jwk = json!({ "kty": "oct", "kid": "h1", "k": secret });
    std::fs::write(&path, file(&[jwk])).unwrap();
    eventually("the file is read", || async {
        (session(&shop, &token).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    shop.shut().await;
}
