//! What an attacker tries at single sign-on.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use seckill::store::accounts::Role;
use serde_json::{Value, json};

use super::provider::{CLIENT, Provider};
use super::{Browser, LINKED, MAPPED, console, inside, link, log_in, refused, set};
use crate::common::{eventually, now_ms};
use crate::console::rounds::{form, make, step};
use crate::login::jwt::{Key, assemble};

#[tokio::test]
async fn a_token_that_says_anything_else_lets_nobody_in() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let now = now_ms() / 1_000;
    let ops = json!({ "groups": ["ops"] });
    let bad = [
        json!({ "aud": "shop" }),
        json!({ "aud": [CLIENT, "shop"] }),
        json!({ "azp": "shop" }),
        json!({ "nonce": "of another login" }),
        json!({ "nonce": null }),
        json!({ "exp": now - 61 }),
        json!({ "exp": null }),
        json!({ "iat": now + 120 }),
        json!({ "nbf": now + 120 }),
        json!({ "aud": [] }),
        json!({ "aud": ["shop"], "azp": CLIENT }),
        json!({ "aud": [CLIENT, "shop"], "azp": "shop" }),
        json!({ "iss": "https://other.example.com" }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "pad": "x".repeat(70_000) }),
    ];
    for mut more in bad {
        more["groups"] = ops["groups"].clone();
        let answer = log_in(&console, &provider, "u1", more.clone()).await;
        assert_eq!(answer.body["code"], "provider_token", "{more}");
        refused(&answer, "provider_token");
    }
    assert!(console.store.accounts().await.unwrap().is_empty());
    // Clocks may be a minute apart, as for buyers' tokens.
    let late = json!({ "groups": ["ops"], "exp": now - 50, "iat": now + 50 });
    inside(&console, &log_in(&console, &provider, "u1", late).await).await;
}

/// How somebody signs claims.
type Sign<'a> = Box<dyn Fn(&Value) -> String + 'a>;

#[tokio::test]
async fn claims_that_the_provider_has_not_signed_let_nobody_in() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let by_provider = json!({ "alg": "EdDSA", "kid": "k1" });
    let (same_kid, other_kid, own) = (Key::new("k1"), Key::new("k9"), Key::new("k1"));
    let brings_key = json!({ "alg": "EdDSA", "kid": "k1", "jwk": own.jwk() });
    let critical = json!({ "alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": true });
    let public = URL_SAFE_NO_PAD.decode(provider.key.jwk()["x"].as_str().unwrap());
    let public = hmac::Key::new(hmac::HMAC_SHA256, &public.unwrap());
    let ways: [(&str, Sign<'_>); 9] = [
        (
            "no algorithm",
            Box::new(|it| assemble(&json!({ "alg": "none" }), it, |_| Vec::new())),
        ),
        (
            "no algorithm, and the provider's signature",
            Box::new(|it| provider.key.token_with(&json!({ "alg": "none" }), it)),
        ),
        (
            "no signature",
            Box::new(|it| assemble(&by_provider, it, |_| Vec::new())),
        ),
        ("a key of the same name", Box::new(|it| same_kid.token(it))),
        ("a key of another name", Box::new(|it| other_kid.token(it))),
        (
            "a key that the token brings along",
            Box::new(|it| own.token_with(&brings_key, it)),
        ),
        (
            "the provider's public key, as if it were a secret",
            Box::new(|it| {
                assemble(&json!({ "alg": "HS256", "kid": "k1" }), it, |text| {
                    hmac::sign(&public, text).as_ref().to_vec()
                })
            }),
        ),
        (
            "the provider's signature of other claims",
            Box::new(|it| {
                let mut guest = it.clone();
                guest["groups"] = json!(["guests"]);
                let (signed, wanted) = (provider.key.token(&guest), provider.key.token(it));
                let (_, signature) = signed.rsplit_once('.').unwrap();
                let (wanted, _) = wanted.rsplit_once('.').unwrap();
                format!("{wanted}.{signature}")
            }),
        ),
        (
            "an extension that we do not know",
            Box::new(|it| provider.key.token_with(&critical, it)),
        ),
    ];
    let claims = |browser: &Browser<'_>| {
        let mut claims = provider.claims(&browser.asked, "u1");
        claims["groups"] = json!(["ops"]);
        claims
    };
    for (name, sign) in &ways {
        let browser = Browser::begin(&console).await;
        let token = sign(&claims(&browser));
        let answer = browser.with_token(&provider, token).await;
        assert_eq!(answer.body["code"], "provider_token", "{name}");
        refused(&answer, "provider_token");
    }
    for garbage in ["a.b.c", ""] {
        let browser = Browser::begin(&console).await;
        let answer = browser.with_token(&provider, garbage.to_owned()).await;
        refused(&answer, "provider_token");
    }
    assert!(console.store.accounts().await.unwrap().is_empty());
    // The same claims, signed by the provider.
    let browser = Browser::begin(&console).await;
    let token = provider.key.token(&claims(&browser));
    inside(&console, &browser.with_token(&provider, token).await).await;
}

#[tokio::test]
async fn a_login_is_good_once_and_in_the_browser_that_began_it() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let ops = json!({ "groups": ["ops"] });
    let token = |browser: &Browser<'_>| {
        let mut claims = provider.claims(&browser.asked, "u1");
        claims["groups"] = ops["groups"].clone();
        provider.key.token(&claims)
    };

    let victim = Browser::begin(&console).await;
    let attacker = Browser::begin(&console).await;
    let code = provider.grant(&attacker.asked, token(&attacker));
    // The attacker's code and state in the victim's browser, and with no cookie at all.
    let (state, iss) = (attacker.asked["state"].clone(), &provider.issuer);
    let said = [("code", &*code), ("state", &*state), ("iss", &**iss)];
    refused(&victim.come_back(&said).await, "login_expired");
    let attacker = Browser::begin(&console).await;
    let bare = Browser {
        cookie: "a=b".to_owned(),
        asked: attacker.asked.clone(),
        console: &console,
    };
    refused(&bare.with_code(&provider, &code).await, "login_expired");
    // The victim's own state does not redeem it: the verifier is another one.
    let answer = victim.with_code(&provider, &code).await;
    refused(&answer, "provider_refused");

    let browser = Browser::begin(&console).await;
    let code = provider.grant(&browser.asked, token(&browser));
    for wrong in ["", "x", &"0".repeat(64)] {
        let said = [("code", &*code), ("state", wrong), ("iss", &**iss)];
        refused(&browser.come_back(&said).await, "login_expired");
    }
    refused(&browser.come_back(&[]).await, "login_expired");
    let state = &*browser.asked["state"];
    let twice = [("code", &*code), ("state", state), ("state", state)];
    refused(&browser.come_back(&twice).await, "login_expired");
    inside(&console, &browser.with_code(&provider, &code).await).await;
    // Again with everything that was right.
    let again = browser.with_code(&provider, &code).await;
    refused(&again, "login_expired");
    // The used code with a new login.
    let fresh = Browser::begin(&console).await;
    refused(&fresh.with_code(&provider, &code).await, "provider_refused");
}

#[tokio::test]
async fn a_response_of_another_provider_or_a_refusal_lets_nobody_in() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    for iss in [Some("https://other.example.com"), None] {
        let browser = Browser::begin(&console).await;
        let state = browser.asked["state"].clone();
        let mut said = vec![("code", "c"), ("state", &*state)];
        said.extend(iss.map(|iss| ("iss", iss)));
        refused(&browser.come_back(&said).await, "other_provider");
    }
    let browser = Browser::begin(&console).await;
    let state = browser.asked["state"].clone();
    let said = [
        ("error", "access_denied"),
        ("error_description", "no\r\nSet-Cookie: a=b"),
        ("state", &*state),
        ("iss", &*provider.issuer),
    ];
    refused(&browser.come_back(&said).await, "provider_refused");
}

#[tokio::test]
async fn no_parameter_chooses_where_a_browser_goes() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let elsewhere = "https%3A%2F%2Fevil.example.com%2F";
    let path = ["to", "return", "redirect", "redirect_uri", "next"]
        .map(|name| format!("{name}={elsewhere}"))
        .join("&");
    let path = format!("/ops/api/login/oidc?{path}");
    let begun = console.request(Method::GET, &path);
    let begun = begun.header("host", "evil.example.com").send().await;
    let to = begun.header("location").unwrap();
    assert!(
        to.starts_with(&format!("{}/authorize", provider.issuer)),
        "{to}"
    );
    assert!(!to.contains("evil"), "{to}");

    let browser = Browser::begin(&console).await;
    let mut claims = provider.claims(&browser.asked, "u1");
    claims["groups"] = json!(["ops"]);
    let code = provider.grant(&browser.asked, provider.key.token(&claims));
    let (state, iss) = (&*browser.asked["state"], &*provider.issuer);
    let mut said = vec![("code", &*code), ("state", state), ("iss", iss)];
    for name in ["to", "return", "redirect", "redirect_uri", "next", "login"] {
        said.push((name, "//evil.example.com/"));
    }
    // To the console's first page.
    inside(&console, &browser.come_back(&said).await).await;
}

#[tokio::test]
async fn whom_a_supervisor_shuts_out_while_they_log_in_stays_outside() {
    let provider = Provider::start().await;
    let console = console(&provider, LINKED).await;
    let wang = console.person("wang", Role::Supervisor).await;
    console.account("li", Role::Operator).await;
    for (change, code) in [
        (json!({ "disabled": true }), "account_disabled"),
        (json!({ "subject": "" }), "account_unknown"),
    ] {
        let ready = json!({ "disabled": false, "subject": "7" });
        let done = console.put(&wang, "/ops/api/accounts/li", &ready).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
        let inside_already = log_in(&console, &provider, "7", json!({})).await;
        let (session, _) = inside(&console, &inside_already).await;
        let browser = Browser::begin(&console).await;
        let done = console.put(&wang, "/ops/api/accounts/li", &change).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
        let answer = browser.as_person(&provider, "7", json!({})).await;
        refused(&answer, code);
        eventually("their session ends", || async {
            let answer = console.get(&session, "/ops/api/me").await;
            (answer.status == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn who_logs_out_is_out_and_the_callback_does_not_bring_them_back() {
    let provider = Provider::start().await;
    let console = console(&provider, MAPPED).await;
    let browser = Browser::begin(&console).await;
    let mut claims = provider.claims(&browser.asked, "u1");
    claims["groups"] = json!(["ops"]);
    let code = provider.grant(&browser.asked, provider.key.token(&claims));
    let (session, _) = inside(&console, &browser.with_code(&provider, &code).await).await;
    let out = console.post(&session, "/ops/api/logout", &json!({})).await;
    assert_eq!(out.status, StatusCode::OK, "{}", out.body);
    let gone = set(&out, "seckill_console").unwrap();
    assert!(gone.contains("Max-Age=0"), "{gone}");
    let me = console.get(&session, "/ops/api/me").await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
    // As the browser's history would.
    let again = browser.with_code(&provider, &code).await;
    refused(&again, "login_expired");
}

#[tokio::test]
async fn who_logs_out_is_sent_to_log_out_at_the_provider_where_it_says_how() {
    let provider = Provider::start().await;
    let end = format!("{}/end?tenant=1", provider.issuer);
    provider.tell(|said| said.metadata["end_session_endpoint"] = json!(end));
    let console = console(&provider, MAPPED).await;
    let browser = Browser::begin(&console).await;
    let mut claims = provider.claims(&browser.asked, "u1");
    claims["groups"] = json!(["ops"]);
    let token = provider.key.token(&claims);
    let answer = browser.with_token(&provider, token.clone()).await;
    let (session, _) = inside(&console, &answer).await;
    let out = console.post(&session, "/ops/api/logout", &json!({})).await;
    let url = out.body["end_session_url"].as_str().unwrap();
    let query = url.strip_prefix(&format!("{end}&")).expect(url);
    let said: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let wanted = [
        ("id_token_hint", token.as_str()),
        ("client_id", CLIENT),
        ("post_logout_redirect_uri", "https://console.test/console/"),
    ];
    assert_eq!(said, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let me = console.get(&session, "/ops/api/me").await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
    // Who came by a password knows no provider.
    let wang = console.person("wang", Role::Supervisor).await;
    let out = console.post(&wang, "/ops/api/logout", &json!({})).await;
    assert_eq!((out.status, out.body), (StatusCode::OK, json!({})));
}

#[tokio::test]
async fn a_place_to_log_out_that_is_missing_unsafe_or_not_wanted_is_not_used() {
    let off: Vec<_> = [MAPPED, &[("SECKILL_CONSOLE_OIDC_LOGOUT", "off")]].concat();
    for (end, settings) in [
        (json!(null), MAPPED),
        (json!("http://other.example.com/end"), MAPPED),
        (json!("javascript:alert(1)"), MAPPED),
        (json!("http://127.0.0.1/end"), &*off),
    ] {
        let provider = Provider::start().await;
        provider.tell(|said| said.metadata["end_session_endpoint"] = end.clone());
        let console = super::console(&provider, settings).await;
        let answer = log_in(&console, &provider, "u1", json!({ "groups": ["ops"] })).await;
        let (session, _) = inside(&console, &answer).await;
        let out = console.post(&session, "/ops/api/logout", &json!({})).await;
        assert_eq!((out.status, out.body), (StatusCode::OK, json!({})), "{end}");
    }
}

#[tokio::test]
async fn whom_a_supervisor_linked_does_not_approve_their_work_the_same_day() {
    let provider = Provider::start().await;
    let console = console(&provider, LINKED).await;
    let wang = console.person("wang", Role::Supervisor).await;
    // An account that has been there for long, and whose person wang chose.
    console.account("zhao", Role::Supervisor).await;
    let done = link(&console, &wang, "zhao", "second identity of wang").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let answer = log_in(&console, &provider, "second identity of wang", json!({})).await;
    let (puppet, _) = inside(&console, &answer).await;
    let round = make(&console, &wang, &form("153")).await;
    let round = step(&console, &wang, &round, "submit").await.body;
    let refused = step(&console, &puppet, &round, "approve").await;
    assert_eq!(refused.body["code"], "account_too_new", "{}", refused.body);
}
