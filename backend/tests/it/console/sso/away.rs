//! A provider that is away, slow or faulty, and how often it is bothered.

use std::time::Instant;

use axum::http::Method;
use seckill::console::login_attempts::MOST_BY_ADDRESS;
use seckill::store::accounts::Role;
use serde_json::json;

use super::provider::{Mood, Provider};
use super::{Browser, MAPPED, console, inside, log_in, refused, set};
use crate::common::eventually;
use crate::login::jwt::Key;

#[tokio::test]
async fn a_provider_that_is_away_hangs_or_floods_is_away_and_passwords_go_on() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    for mood in [Mood::Hangs, Mood::Huge, Mood::Broken, Mood::NoToken] {
        let browser = Browser::begin(&console).await;
        provider.tell(|said| said.mood = mood);
        let answer = browser.as_person(&provider, "u1", json!({})).await;
        refused(&answer, "unavailable.provider");
        assert_eq!(answer.body["missing"], "provider", "{mood:?}");
    }
    console.person("wang", Role::Supervisor).await;

    // Nobody listens there, or it says that it is another, or sends codes elsewhere.
    let gone = provider.issuer.rsplit_once(':').unwrap().0;
    let gone = format!("{gone}:9");
    let gone = [("SECKILL_CONSOLE_OIDC_ISSUER", gone.as_str())];
    let away = super::console(&provider, &gone).await;
    let begin = away.request(Method::GET, "/ops/api/login/oidc");
    refused(&begin.send().await, "unavailable.provider");
    let secret = Provider::start().await;
    secret.tell(|said| {
        said.keys
            .push(json!({ "kty": "oct", "k": "c2VjcmV0".repeat(8) }));
    });
    let console = super::console(&secret, MAPPED).await;
    let begin = console.request(Method::GET, "/ops/api/login/oidc");
    refused(&begin.send().await, "unavailable.provider");
    for (name, value) in [
        ("issuer", "https://other.example.com"),
        ("token_endpoint", "http://other.example.com/token"),
        ("jwks_uri", "ftp://127.0.0.1/jwks"),
        ("authorization_endpoint", "javascript:alert(1)"),
    ] {
        let liar = Provider::start().await;
        liar.tell(|said| said.metadata[name] = json!(value));
        let console = super::console(&liar, MAPPED).await;
        let begin = console.request(Method::GET, "/ops/api/login/oidc");
        refused(&begin.send().await, "unavailable.provider");
    }
}

#[tokio::test]
async fn keys_rotate_and_strangers_do_not_make_the_console_read_again_and_again() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let ops = json!({ "groups": ["ops"] });
    inside(&console, &log_in(&console, &provider, "u1", ops).await).await;
    let june = Key::new("june");
    provider.tell(|said| said.keys = vec![june.jwk()]);
    eventually("the new key is read", || async {
        let browser = Browser::begin(&console).await;
        let mut claims = provider.claims(&browser.asked, "u1");
        claims["groups"] = json!(["ops"]);
        let answer = browser.with_token(&provider, june.token(&claims)).await;
        (answer.header("location") == Some("/console/")).then_some(())
    })
    .await;
    let (before, began) = (provider.tell(|said| said.reads), Instant::now());
    for _ in 0..10 {
        let browser = Browser::begin(&console).await;
        let claims = provider.claims(&browser.asked, "u1");
        let strange = Key::new("strange").token(&claims);
        let answer = browser.with_token(&provider, strange).await;
        refused(&answer, "provider_token");
    }
    let reads = u64::from(provider.tell(|said| said.reads) - before);
    let most = 1 + began.elapsed().as_secs() / 5;
    assert!(reads <= most, "{reads} readings, and {most} are enough");
}

#[tokio::test]
async fn one_address_begins_no_more_logins_than_it_may_try_passwords() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let begin = || {
        let request = console.request(Method::GET, "/ops/api/login/oidc");
        request.header("x-real-ip", "203.0.113.9").send()
    };
    for _ in 0..MOST_BY_ADDRESS {
        assert!(set(&begin().await, "seckill_console_login").is_some());
    }
    refused(&begin().await, "too_many_tries");
}
