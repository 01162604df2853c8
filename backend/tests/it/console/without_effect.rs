//! What changes nothing, or is not done, leaves no line in the audit log, and what is not
//! known is refused.

use axum::http::StatusCode;
use serde_json::json;

use super::rounds::{form, make, three};

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
