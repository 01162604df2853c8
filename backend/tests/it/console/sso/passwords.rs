//! Single sign-on beside passwords and second factors, and instead of them.

use axum::http::{Method, StatusCode};
use seckill::console::login_attempts::MOST_BY_ADDRESS;
use seckill::store::accounts::{AccountChange, Identity, Role};
use seckill::store::identities::Linked;
use seckill::store::{Actor, Done};
use serde_json::{Value, json};

use super::provider::Provider;
use super::{console, inside, log_in};

#[tokio::test]
async fn with_single_sign_on_only_one_account_has_a_password_for_emergencies() {
    let provider = Provider::start().await;
    let only = [
        ("SECKILL_CONSOLE_OIDC_ONLY", "on"),
        ("SECKILL_CONSOLE_OIDC_BREAK_GLASS", "glass"),
    ];
    let console = console(&provider, &only).await;
    let ways = console.request(Method::GET, "/ops/api/login").send().await;
    assert_eq!(ways.body["passwords"], "one");
    assert_eq!(
        ways.body["oidc"]["url"],
        "https://console.test/ops/api/login/oidc"
    );
    let li = console.account("li", Role::Operator).await;
    let glass = console.account("glass", Role::Supervisor).await;
    let off = console.try_log_in("li", &li.password).await;
    assert_eq!(
        (off.status, &off.body["code"]),
        (StatusCode::FORBIDDEN, &json!("password_login_off"))
    );
    let wrong = console.try_log_in("glass", "not this one").await;
    assert_eq!(wrong.body["code"], "wrong_login");
    console.enter(&glass).await;
    // The refusal tells that name from others, so names cannot be tried at will.
    let guess = |name: String| {
        let guess = json!({ "name": name, "password": "not this one" });
        let request = console.request(Method::POST, "/ops/api/login");
        request
            .header("x-real-ip", "203.0.113.8")
            .json(&guess)
            .send()
    };
    for at in 0..MOST_BY_ADDRESS {
        let answer = guess(format!("name{at}")).await;
        assert_eq!(answer.body["code"], "password_login_off");
    }
    let more = guess("glass".to_owned()).await;
    assert_eq!(more.status, StatusCode::TOO_MANY_REQUESTS, "{}", more.body);
}

#[tokio::test]
async fn the_consoles_second_factor_is_for_passwords_and_the_providers_for_single_sign_on() {
    let provider = Provider::start().await;
    let required = [("SECKILL_CONSOLE_SECOND_FACTOR", "required")];
    let console = console(&provider, &required).await;
    // By password they have to set one up first, and may do nothing else.
    let wang = console.person("wang", Role::Supervisor).await;
    let early = console.get(&wang, "/ops/api/rounds").await;
    assert_eq!(early.body["code"], "second_factor_required");
    let li = console.account("li", Role::Operator).await;
    let by = Actor::on_the_box();
    let done = |action| Done {
        action,
        target: "li".to_owned(),
        detail: json!({}),
    };
    let identity = Identity {
        issuer: provider.issuer.clone(),
        subject: "7".to_owned(),
    };
    let (link, factor) = (done("account.link"), done("account.factor_on"));
    let linked = console
        .store
        .link_account("li", Some(&identity), (&by, &link), 1);
    assert_eq!(linked.await.unwrap(), Linked::Done);

    let answer = log_in(&console, &provider, "7", json!({})).await;
    let (session, me) = inside(&console, &answer).await;
    assert_eq!(me["must"], Value::Null);
    let rounds = console.get(&session, "/ops/api/rounds").await;
    assert_eq!(rounds.status, StatusCode::OK, "{}", rounds.body);
    // Single sign-on opens neither the password nor the factor of the account.
    let confirm = json!({ "password": "not this one" });
    let opened = console.post(&session, "/ops/api/me/factor", &confirm).await;
    assert_eq!(opened.body["code"], "wrong_password");
    let change = json!({ "password": "not this one", "new": "a password of mine" });
    let opened = console
        .post(&session, "/ops/api/me/password", &change)
        .await;
    assert_eq!(opened.body["code"], "wrong_password");

    // An account that has one still wants it with the password.
    let secret = AccountChange::Factor("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP");
    let changed = console
        .store
        .change_account("li", secret, (&by, &factor), 1);
    assert!(changed.await.unwrap());
    let answer = log_in(&console, &provider, "7", json!({})).await;
    inside(&console, &answer).await;
    let by_password = console.try_log_in("li", &li.password).await;
    assert_eq!(by_password.body["code"], "code_required");
}
