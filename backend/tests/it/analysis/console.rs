//! Findings and simulated shoppers at the console.

use axum::http::{Method, StatusCode};
use seckill::edges::bans;
use seckill::store::accounts::Role;
use seckill::store::findings::Finding;
use serde_json::json;

use crate::common::console::Console;
use crate::common::now_ms;

#[tokio::test(flavor = "multi_thread")]
async fn at_the_console_people_decide_on_findings() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let judgement = seckill_core::suspicion::Judgement {
        subject: seckill_core::suspicion::Subject::User("bot".into()),
        score: 80,
        reasons: vec![seckill_core::suspicion::Reason::NeverBrowsed {
            urls: 1,
            clicks: 2,
            for_ms: 30_000,
            may_have_looked: false,
        }],
        is_doubtful: false,
    };
    let found = Finding::new("user", "bot", &judgement, now_ms());
    console.store.put_finding(&found).await.unwrap();

    let anybody = console
        .request(Method::GET, "/ops/api/findings")
        .send()
        .await;
    assert_eq!(anybody.status, StatusCode::UNAUTHORIZED);
    let listed = console.get(&li, "/ops/api/findings?state=proposed").await;
    assert_eq!(listed.body["findings"][0]["subject"], "bot");
    assert_eq!(
        listed.body["findings"][0]["reasons"][0]["code"],
        "never_browsed"
    );
    assert_eq!(listed.body["counts"], json!({"proposed": 1}));
    let bad = console.get(&li, "/ops/api/findings?state=maybe").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);

    let whom = json!({"kind": "user", "subject": "bot", "minutes": 5});
    let confirmed = console.post(&li, "/ops/api/findings/confirm", &whom).await;
    assert_eq!(
        (confirmed.status, &confirmed.body["state"]),
        (StatusCode::OK, &json!("confirmed"))
    );
    let mut conn = console.link.conn().await.unwrap();
    let banned = bans::list(&mut conn, now_ms()).await.unwrap().listed;
    assert_eq!((&*banned[0].value, &*banned[0].by), ("bot", "li"));
    let whom = json!({"kind": "user", "subject": "bot"});
    let dismissed = console.post(&li, "/ops/api/findings/dismiss", &whom).await;
    assert_eq!(dismissed.body["state"], "dismissed");
    assert_eq!(bans::list(&mut conn, now_ms()).await.unwrap().listed, []);
    let nobody = json!({"kind": "user", "subject": "nobody"});
    let unknown = console
        .post(&li, "/ops/api/findings/dismiss", &nobody)
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    // Many at once: what is refused stops no other, and the chosen time holds.
    let many = json!({ "decision": "confirm", "minutes": 1_440,
        "findings": [nobody, { "kind": "user", "subject": "bot" }] });
    let decided = console.post(&li, "/ops/api/findings/decide", &many).await;
    assert_eq!(decided.body["decided"], 1, "{}", decided.body);
    assert_eq!(decided.body["refused"][0]["subject"], "nobody");
    let banned = bans::list(&mut conn, now_ms()).await.unwrap().listed;
    let ends_ms = banned[0].expires_ms.unwrap();
    assert!(ends_ms > now_ms() + 86_000_000 && ends_ms <= now_ms() + 86_400_000);
    let wrong = json!({ "decision": "burn", "findings": [{ "kind": "user", "subject": "bot" }] });
    let refused = console.post(&li, "/ops/api/findings/decide", &wrong).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_shoppers_come_only_where_somebody_on_the_box_allowed_them() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let path = "/ops/api/simulation";
    let wanted = json!({"shoppers": 5, "round": "1", "product": "153", "seconds": 5});
    let refused = console.post(&li, path, &wanted).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("round_is_real"))
    );
    for (wrong, said) in [
        (
            json!({"shoppers": 0, "round": "1", "product": "153", "seconds": 5}),
            "one at least",
        ),
        (
            json!({"shoppers": 5, "bots": 9_999_999, "round": "1", "product": "153", "seconds": 5}),
            "up to 5000",
        ),
        (
            json!({"shoppers": 5, "wickedness": ["kind"], "round": "1", "product": "153", "seconds": 5}),
            "no kind of misbehaviour",
        ),
        (
            json!({"shoppers": 5, "round": "1; rm", "product": "153", "seconds": 5}),
            "no product",
        ),
        (json!({"shoppers": "many"}), "send JSON"),
    ] {
        let answer = console.post(&li, path, &wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let message = answer.body["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{message}");
    }
    let shown = console.get(&li, path).await;
    assert_eq!(shown.body["simulation"]["state"], "none");
    assert!(
        shown.body["wickedness"]
            .as_array()
            .unwrap()
            .contains(&json!("careful"))
    );
}
