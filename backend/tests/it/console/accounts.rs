//! Accounts managed at the console, second factors, and sessions.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use super::rounds::three;
use crate::common::console::{Answer, Console, Session};
use crate::common::now_ms;

pub(super) async fn log_in(
    console: &Console,
    name: &str,
    password: &str,
    code: Option<&str>,
) -> Answer {
    let mut login = json!({ "name": name, "password": password });
    if let Some(code) = code {
        login["code"] = code.into();
    }
    let request = console.request(Method::POST, "/ops/api/login");
    request.json(&login).send().await
}

async fn delete(console: &Console, by: &Session, path: &str, body: &Value) -> Answer {
    let request = console.request(Method::DELETE, path).of(by);
    request.json(body).send().await
}

/// The code of this secret, so many steps from now.
fn code(secret: &str, steps: i64) -> String {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = TOTP::new(Algorithm::SHA1, 6, 0, 30, bytes).unwrap();
    let at = i64::try_from(now_ms() / 1_000).unwrap() + 30 * steps;
    totp.generate(u64::try_from(at).unwrap())
}

/// Makes an account at the console and chooses its password.
pub(super) async fn made(console: &Console, by: &Session, name: &str, role: &str) -> Session {
    let new = json!({ "name": name, "role": role });
    let given = console.post(by, "/ops/api/accounts", &new).await;
    assert_eq!(given.status, StatusCode::CREATED, "{}", given.body);
    let password = given.body["password"].as_str().unwrap();
    let first = log_in(console, name, password, None).await;
    assert_eq!(first.body["must"], "password", "{}", first.body);
    let session = first.session();
    let change = json!({ "password": password, "new": "a password of my own" });
    let chosen = console
        .post(&session, "/ops/api/me/password", &change)
        .await;
    assert_eq!(chosen.status, StatusCode::OK, "{}", chosen.body);
    chosen.session()
}

#[tokio::test]
async fn a_supervisor_makes_accounts_whose_owners_choose_their_passwords_first() {
    let (console, li, wang, _) = three().await;
    let new = json!({ "name": "chen", "role": "operator" });
    let refused = console.post(&li, "/ops/api/accounts", &new).await;
    assert_eq!(refused.body["code"], "supervisor_only");
    for (new, code) in [
        (json!({ "name": "li", "role": "operator" }), "account_taken"),
        (json!({ "name": "a b", "role": "operator" }), "account_name"),
        (json!({ "name": "chen", "role": "king" }), "account_role"),
    ] {
        let refused = console.post(&wang, "/ops/api/accounts", &new).await;
        assert_eq!(refused.body["mistakes"][0]["code"], code, "{new}");
    }
    let given = console.post(&wang, "/ops/api/accounts", &new).await;
    let password = given.body["password"].as_str().unwrap().to_owned();
    let first = log_in(&console, "chen", &password, None).await.session();
    let early = console.get(&first, "/ops/api/rounds").await;
    assert_eq!(
        (early.status, &early.body["code"]),
        (StatusCode::FORBIDDEN, &json!("password_change_required"))
    );
    for (new, code) in [
        (password.as_str(), "same_password"),
        ("short", "password_length"),
    ] {
        let change = json!({ "password": password, "new": new });
        let refused = console.post(&first, "/ops/api/me/password", &change).await;
        assert_eq!(
            refused.body["mistakes"][0]["code"], code,
            "{}",
            refused.body
        );
    }
    let change = json!({ "password": "not this one", "new": "a password of my own" });
    let refused = console.post(&first, "/ops/api/me/password", &change).await;
    assert_eq!(refused.body["code"], "wrong_password");
    let change = json!({ "password": password, "new": "a password of my own" });
    let chosen = console.post(&first, "/ops/api/me/password", &change).await;
    let chen = chosen.session();
    assert_eq!(
        console.get(&chen, "/ops/api/rounds").await.status,
        StatusCode::OK
    );
    let old = console.get(&first, "/ops/api/me").await;
    assert_eq!(
        old.status,
        StatusCode::UNAUTHORIZED,
        "the old session is over"
    );
    assert_eq!(
        log_in(&console, "chen", &password, None).await.status,
        StatusCode::UNAUTHORIZED
    );
    let log = console.get(&li, "/ops/api/audit?target=chen").await.body;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries[0]["action"], "account.password");
    assert_eq!(entries[1]["action"], "session.begin");
    assert_eq!(entries[1]["detail"]["by"], "password");
    assert_eq!(entries[2]["action"], "account.create");
    assert!(
        !log.to_string().contains(&password),
        "no password in the log"
    );
}

#[tokio::test]
async fn a_disabled_account_is_logged_out_and_nobody_changes_their_own() {
    let (console, li, wang, _) = three().await;
    for body in [json!({ "disabled": true }), json!({ "role": "operator" })] {
        let own = console.put(&wang, "/ops/api/accounts/wang", &body).await;
        assert_eq!(own.body["code"], "own_account");
    }
    let off = json!({ "disabled": true });
    let done = console.put(&wang, "/ops/api/accounts/li", &off).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    crate::common::eventually("li is logged out", || async {
        let answer = console.get(&li, "/ops/api/me").await;
        (answer.status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let refused = log_in(&console, "li", "password of li", None).await;
    assert_eq!(refused.body["code"], "account_disabled");
    let wrong = log_in(&console, "li", "not this one", None).await;
    assert_eq!(
        wrong.body["code"], "wrong_login",
        "who guesses learns nothing"
    );
    let on = json!({ "disabled": false });
    console.put(&wang, "/ops/api/accounts/li", &on).await;
    let again = log_in(&console, "li", "password of li", None).await;
    assert_eq!(again.status, StatusCode::OK);
    let reset = console
        .post(&wang, "/ops/api/accounts/li/reset", &json!({}))
        .await;
    let password = reset.body["password"].as_str().unwrap();
    let first = log_in(&console, "li", password, None).await;
    assert_eq!(first.body["must"], "password");
}

#[tokio::test]
async fn a_second_factor_is_wanted_at_each_login_and_each_code_is_good_once() {
    let (console, li, wang, _) = three().await;
    let confirm = json!({ "password": "password of li" });
    let factor = console.post(&li, "/ops/api/me/factor", &confirm).await;
    assert_eq!(factor.status, StatusCode::OK, "{}", factor.body);
    let secret = factor.body["secret"].as_str().unwrap();
    assert!(factor.body["uri"].as_str().unwrap().contains(secret));
    let wrong = json!({ "code": "000000" });
    let refused = console
        .post(&li, "/ops/api/me/factor/confirm", &wrong)
        .await;
    assert_eq!(refused.body["code"], "wrong_code");
    let first = code(secret, 0);
    let on = json!({ "code": first });
    let before = console.get(&li, "/ops/api/me").await;
    assert_eq!(before.body["factor"], false);
    let done = console.post(&li, "/ops/api/me/factor/confirm", &on).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert_eq!(done.body["factor"], true);
    let li = done.session();
    let me = console.get(&li, "/ops/api/me").await;
    assert_eq!(me.body["factor"], true);
    assert_eq!(
        console.get(&li, "/ops/api/rounds").await.status,
        StatusCode::OK
    );

    let password = "password of li";
    let missing = log_in(&console, "li", password, None).await;
    assert_eq!(
        (missing.status, &missing.body["code"]),
        (StatusCode::UNAUTHORIZED, &json!("code_required"))
    );
    let used = log_in(&console, "li", password, Some(&first)).await;
    assert_eq!(used.body["code"], "wrong_code", "it confirmed the factor");
    let wrong = log_in(&console, "li", "not this one", Some(&code(secret, 1))).await;
    assert_eq!(wrong.body["code"], "wrong_login");
    let next = code(secret, 1);
    let right = log_in(&console, "li", password, Some(&next)).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.body);
    let replayed = log_in(&console, "li", password, Some(&next)).await;
    assert_eq!(replayed.body["code"], "wrong_code");

    let listed = console.get(&wang, "/ops/api/accounts").await.body;
    let shown = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "li");
    assert_eq!(shown.unwrap()["factor"], true);
    assert!(!listed.to_string().contains(secret));
    let li = right.session();
    let off = delete(&console, &li, "/ops/api/me/factor", &confirm).await;
    assert_eq!(off.status, StatusCode::OK, "{}", off.body);
    assert_eq!(off.body["factor"], false);
    let plain = log_in(&console, "li", password, None).await;
    assert_eq!(plain.status, StatusCode::OK);
}

#[tokio::test]
async fn guesses_of_a_code_are_counted_as_those_of_a_password_are() {
    let (console, li, ..) = three().await;
    let confirm = json!({ "password": "password of li" });
    let factor = console.post(&li, "/ops/api/me/factor", &confirm).await;
    let secret = factor.body["secret"].as_str().unwrap();
    let on = json!({ "code": code(secret, 0) });
    console.post(&li, "/ops/api/me/factor/confirm", &on).await;
    let mut last = None;
    for _ in 0..11 {
        last = Some(log_in(&console, "li", "password of li", Some("000000")).await);
    }
    assert_eq!(last.unwrap().body["code"], "too_many_tries");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_or_a_supervisor() {
    let (console, li, wang, _) = three().await;
    let other = log_in(&console, "li", "password of li", None)
        .await
        .session();
    let path = "/ops/api/sessions/li";
    let listed = console.get(&li, path).await.body;
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let (this, that) = match listed[0]["is_this"] == true {
        true => (&listed[0], &listed[1]),
        false => (&listed[1], &listed[0]),
    };
    assert_eq!(
        (&this["is_this"], &that["is_this"]),
        (&json!(true), &json!(false))
    );
    assert!(!listed.to_string().contains(&other.id));
    let refused = console.get(&li, "/ops/api/sessions/wang").await;
    assert_eq!(refused.body["code"], "supervisor_only");
    let one = format!("{path}/{}", that["id"].as_str().unwrap());
    assert_eq!(
        delete(&console, &li, &one, &json!({})).await.status,
        StatusCode::OK
    );
    let ended = console.get(&other, "/ops/api/me").await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    let gone = delete(&console, &li, &one, &json!({})).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let mine = format!("{path}/{}", this["id"].as_str().unwrap());
    assert_eq!(
        delete(&console, &wang, &mine, &json!({})).await.status,
        StatusCode::OK
    );
    assert_eq!(
        console.get(&li, "/ops/api/me").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn what_an_account_is_already_is_no_change_and_is_not_noted() {
    let (console, _, wang, _) = three().await;
    made(&console, &wang, "zed", "operator").await;
    let same = json!({ "role": "operator", "disabled": false, "subject": "" });
    let answer = console.put(&wang, "/ops/api/accounts/zed", &same).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let log = console.get(&wang, "/ops/api/audit?target=zed").await.body;
    let entries = log["entries"].as_array().unwrap();
    let actions = entries.iter().map(|it| it["action"].as_str().unwrap());
    let changes: Vec<&str> = actions
        .filter(|it| ["account.role", "account.enable", "account.unlink"].contains(it))
        .collect();
    assert_eq!(changes, [""; 0]);
}
