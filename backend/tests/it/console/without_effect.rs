//! What changes nothing, or is not done, leaves no line in the audit log, and what is not
//! known is refused.

use axum::http::StatusCode;
use seckill::store::AuditQuery;
use seckill::store::accounts::Role;
use seckill::store::findings::Finding;
use serde_json::{Value, json};

use super::rounds::{edit, form, make, step, three};
use crate::common::console::{Console, Session};
use crate::common::now_ms;

/// The actions in the log that begin so, newest first, each with its detail.
async fn log(console: &Console, action: &str) -> Vec<(String, Value)> {
    let wanted = AuditQuery {
        action: action.to_owned(),
        limit: 100,
        ..AuditQuery::default()
    };
    let entries = console.store.audit(&wanted).await.unwrap().into_iter();
    entries.map(|it| (it.action, it.detail)).collect()
}

/// Leaves Redis no memory to write with, or enough again.
async fn fill(console: &Console, is_full: bool) {
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxmemory").arg(u8::from(is_full));
    set.exec_async(&mut console.link.conn().await.unwrap())
        .await
        .unwrap();
}

async fn on_sale(console: &Console, li: &Session, wang: &Session) -> Value {
    let round = make(console, li, &form("153")).await;
    let round = step(console, li, &round, "submit").await.body;
    step(console, wang, &round, "approve").await.body
}

#[tokio::test]
async fn an_approved_round_saved_as_it_is_stays_as_it_is() {
    let (console, li, wang, _) = three().await;
    let round = on_sale(&console, &li, &wang).await;
    let unchanged = edit(&round);
    let saved = console.put(&wang, "/ops/api/rounds/1", &unchanged).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    for field in ["version", "edited_by"] {
        assert_eq!(saved.body[field], round[field], "{}", saved.body);
    }
    assert_eq!(log(&console, "round.edit").await, []);
    // A colleague's open editor is not outdated by it.
    let mut fewer = edit(&round);
    fewer["products"][0]["amount"] = json!(60);
    let saved = console.put(&li, "/ops/api/rounds/1", &fewer).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    // And it says that it is outdated if it is.
    let stale = console.put(&li, "/ops/api/rounds/1", &unchanged).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.body);
}

#[tokio::test]
async fn a_withdrawal_before_the_approval_keeps_its_reason_and_cancels_nothing() {
    let (console, li, _, _) = three().await;
    let round = make(&console, &li, &form("153")).await;
    let round = step(&console, &li, &round, "submit").await.body;
    let path = "/ops/api/rounds/1/withdraw";
    let mut wanted = json!({ "version": round["version"], "reason": " Wrong price. ",
        "cancel": "unpaid" });
    let refused = console.post(&li, path, &wanted).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    wanted["cancel"] = json!("none");
    let done = console.post(&li, path, &wanted).await;
    assert_eq!(done.body["state"], "draft", "{}", done.body);
    let expected = json!({ "reason": "Wrong price." });
    let logged = log(&console, "round.withdraw").await;
    assert_eq!(logged, [("round.withdraw".to_owned(), expected)]);
}

#[tokio::test]
async fn rounds_are_listed_of_states_and_pages_that_there_are() {
    let (console, li, _, _) = three().await;
    make(&console, &li, &form("153")).await;
    for wrong in ["state=scheduled", "state=Draft", "state=x", "page=0"] {
        let path = format!("/ops/api/rounds?{wrong}");
        let refused = console.get(&li, &path).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        let said = refused.body["message"].as_str().unwrap();
        assert!(
            said.contains("withdrawn") || said.contains("begin at 1"),
            "{said}"
        );
    }
    for (right, total) in [
        ("", 1),
        ("state=&page=1", 1),
        ("state=draft", 1),
        ("state=ended", 0),
    ] {
        let listed = console.get(&li, &format!("/ops/api/rounds?{right}")).await;
        assert_eq!(listed.body["total"], total, "{right}: {}", listed.body);
    }
    for state in seckill::store::round::SHOWN_STATES {
        let listed = console
            .get(&li, &format!("/ops/api/rounds?state={state}"))
            .await;
        assert_eq!(listed.status, StatusCode::OK, "{state}");
        let expected = u64::from(state == "draft");
        assert_eq!(listed.body["total"], expected, "{state}: {}", listed.body);
    }
}

#[tokio::test]
async fn a_redis_without_memory_is_called_that_and_what_it_refuses_is_not_logged() {
    let (console, li, wang, _) = three().await;
    on_sale(&console, &li, &wang).await;
    let login = console.account("zhou", Role::Operator).await;
    let judgement = seckill_core::suspicion::Judgement {
        subject: seckill_core::suspicion::Subject::User("bot".into()),
        score: 80,
        reasons: Vec::new(),
        is_doubtful: false,
    };
    let found = Finding::new("user", "bot", &judgement, now_ms());
    console.store.put_finding(&found).await.unwrap();
    let before = log(&console, "").await;
    fill(&console, true).await;

    let ban = json!({ "kind": "user", "value": "bot", "reason": "x" });
    let whom = json!({ "kind": "user", "subject": "bot" });
    for refused in [
        console.post(&li, "/ops/api/bans", &ban).await,
        console.post(&li, "/ops/api/findings/confirm", &whom).await,
        console.try_log_in(&login.name, &login.password).await,
    ] {
        assert_eq!(
            refused.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            refused.body
        );
        assert_eq!(refused.body["missing"], "redis_memory", "{}", refused.body);
        let said = refused.body["message"].as_str().unwrap();
        assert!(said.contains("maxmemory"), "{said}");
    }
    assert_eq!(log(&console, "").await, before);
    let published = console
        .post(&li, "/ops/api/rounds/1/publish", &json!({}))
        .await;
    let problem = published.body["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("Round 1 is on sale, but could not be published again: "),
        "{problem}"
    );
    assert_eq!(published.body["problem_code"], "not_published");
    let cause = published.body["problem_cause"].as_str().unwrap();
    assert!(problem.ends_with(&format!(": {cause}.")), "{problem}");

    fill(&console, false).await;
    let done = console.post(&li, "/ops/api/findings/confirm", &whom).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let again = log(&console, "finding.").await;
    assert_eq!(again.len(), 1, "{again:?}");
}
