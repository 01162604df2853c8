//! Edits: whose is made where two meet, and what may still change after the approval.

use super::*;

#[tokio::test]
async fn nobody_overwrites_an_edit_that_they_have_not_seen() {
    let (console, li, wang, _) = three().await;
    let round = make(&console, &li, &form("153")).await;
    let (mut one, mut other) = (edit(&round), edit(&round));
    one["name"] = json!("Li's name");
    other["name"] = json!("Wang's name");
    let first = save(&console, &li, &round, &one).await;
    assert_eq!(first.status, StatusCode::OK);
    let second = save(&console, &wang, &round, &other).await;
    assert_eq!(
        (second.status, &second.body["code"]),
        (StatusCode::CONFLICT, &json!("changed_meanwhile"))
    );
    assert_eq!(second.body["current"]["name"], "Li's name");
    assert!(
        second.body["message"]
            .as_str()
            .unwrap()
            .starts_with("li changed this round")
    );
    let stale = format!("/ops/api/rounds/1?version={}", round["version"]);
    let deleted = console
        .request(Method::DELETE, &stale)
        .of(&wang)
        .send()
        .await;
    assert_eq!(deleted.status, StatusCode::CONFLICT);
    other["version"] = second.body["current"]["version"].clone();
    assert_eq!(
        save(&console, &wang, &round, &other).await.body["name"],
        "Wang's name"
    );
}

#[tokio::test]
async fn an_edit_after_the_approval_is_refused_where_the_smallest_zone_has_no_room_by_now() {
    let (console, li, wang, _) = three().await;
    let mut two = form("153");
    let mut second = two["products"][0].clone();
    second["id"] = json!("154");
    two["products"].as_array_mut().unwrap().push(second);
    let round = approved(&console, &li, &wang, &two).await;

    // An edge with a zone that is made for one product joins.
    let mut conn = console.link.conn().await.unwrap();
    let (edge, far_ms) = ("edge-b.beef.1.web7", 4_000_000_000_000_u64);
    let () = conn.zadd(keys::EDGES, edge, far_ms).await.unwrap();
    let mut edited = edit(&round);
    edited["products"][0]["amount"] = json!(150);
    edited["ends_ms"] = json!(round["ends_ms"].as_u64().unwrap() + HOUR);
    let change = json!({ "round": "1", "form": edited });
    let made = console.post(&li, "/ops/api/proposals", &change).await;
    let path = format!("/ops/api/proposals/{}/approve", made.body["id"]);
    let refused = console.post(&wang, &path, &json!({})).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("no_room")),
        "{}",
        refused.body
    );
    let message = refused.body["message"].as_str().unwrap();
    for part in [
        "Nothing was changed",
        "edge-b.beef on web7 has room for 1 products",
        "there are 2 that are not over",
        "seckill_zone NAME:2m",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    let stock: i64 = conn
        .hget("seckill::{1::153::01}::stock", "sale_stock_amount")
        .await
        .unwrap();
    assert_eq!(stock, 100, "no amount was adjusted");

    // The round is what it was: the change waits until there is room, and is approved then.
    let shown = format!("/ops/api/proposals/{}", made.body["id"]);
    let left = console.get(&li, &shown).await.body;
    assert_eq!(
        (&left["state"], &left["has_moved"], &left["decided_by"]),
        (&json!("waiting"), &json!(false), &Value::Null)
    );
    let () = conn.zrem(keys::EDGES, edge).await.unwrap();
    let saved = console.post(&wang, &path, &json!({})).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    assert_eq!(saved.body["state"], "approved");
}

#[tokio::test]
async fn after_the_approval_only_what_is_safe_can_be_edited_and_it_shows_at_once() {
    let (console, li, wang, _) = three().await;
    let mut two = form("153");
    let mut second = two["products"][0].clone();
    second["id"] = json!("154");
    two["products"].as_array_mut().unwrap().push(second);
    let round = approved(&console, &li, &wang, &two).await;

    let mut unsafe_edit = edit(&round);
    unsafe_edit["products"][0]["price_cents"] = json!(99_901);
    unsafe_edit["products"][1]["per_buyer"] = json!(1);
    unsafe_edit["ends_ms"] = json!(round["ends_ms"].as_u64().unwrap() - 1_000);
    let refused = save(&console, &li, &round, &unsafe_edit).await;
    let fields: Vec<&str> = refused.body["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["ends_ms", "products.0.price_cents", "products.1.per_buyer"]
    );

    let mut edited = edit(&round);
    edited["products"].as_array_mut().unwrap().reverse();
    edited["products"][1]["title"] = json!("New <name>");
    edited["products"][1]["amount"] = json!(150);
    edited["starts_ms"] = json!(round["starts_ms"].as_u64().unwrap() + 24 * HOUR);
    edited["ends_ms"] = json!(round["ends_ms"].as_u64().unwrap() + 25 * HOUR);
    let refused = save(&console, &li, &round, &edited).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("second_person"))
    );
    let change = json!({ "round": "1", "form": edited });
    let made = console.post(&li, "/ops/api/proposals", &change).await;
    let path = format!("/ops/api/proposals/{}/approve", made.body["id"]);
    let saved = console.post(&wang, &path, &json!({})).await;
    assert_eq!(saved.status, StatusCode::OK, "{} {}", made.body, saved.body);
    assert_eq!(saved.body["problem"], Value::Null);
    let shown = console.get(&li, "/ops/api/rounds/1").await.body;
    assert_eq!(shown["products"][1]["amount"], 150);

    let mut conn = console.link.conn().await.unwrap();
    let order: Vec<String> = conn
        .zrange("seckill::round::{1}::products", 0, -1)
        .await
        .unwrap();
    assert_eq!(order, ["154", "153"]);
    let stock: i64 = conn
        .hget("seckill::{1::153::01}::stock", "sale_stock_amount")
        .await
        .unwrap();
    assert_eq!(stock, 150);
    let days = console.redis_keys("seckill::{*}::rounds").await;
    assert_eq!(days.len(), 1, "it left the day that it was on: {days:?}");
    let score: u64 = conn.zscore(&days[0], "1").await.unwrap();
    assert_eq!(score, edited["starts_ms"].as_u64().unwrap());
    console.render().await;
    let html =
        std::fs::read_to_string(console.config.pages_dir().join("product/1-153.html")).unwrap();
    assert!(
        html.contains("New &#60;name&#62;") && !html.contains("<name>"),
        "{html}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_of_what_sells_one_is_made_and_the_other_touches_nothing() {
    let (console, li, wang, zhao) = three().await;
    let mut many = form("153");
    for id in 154..160 {
        let mut more = many["products"][0].clone();
        more["id"] = json!(id.to_string());
        many["products"].as_array_mut().unwrap().push(more);
    }
    let mut round = approved(&console, &li, &wang, &many).await;
    for turn in 1..=5_u64 {
        let lowered_by = |by: u64| {
            let mut edited = edit(&round);
            for product in edited["products"].as_array_mut().unwrap() {
                product["amount"] = json!(product["amount"].as_u64().unwrap() - by);
            }
            edited
        };
        let (one, other) = (lowered_by(1), lowered_by(2));
        let (first, second) = tokio::join!(
            save(&console, &li, &round, &one),
            save(&console, &zhao, &round, &other)
        );
        let (made, lost, kept) = match first.status {
            StatusCode::OK => (first, second, &one),
            _ => (second, first, &other),
        };
        assert_eq!(made.status, StatusCode::OK, "turn {turn}: {}", made.body);
        assert_eq!(
            (lost.status, &lost.body["code"]),
            (StatusCode::CONFLICT, &json!("changed_meanwhile")),
            "turn {turn}: {}",
            lost.body
        );
        // Whoever comes later with what they saw then is told of the edit, not the approval.
        let late = save(&console, &zhao, &round, &lowered_by(3)).await;
        assert_eq!(late.body["code"], "changed_meanwhile", "{}", late.body);
        round = console.get(&li, "/ops/api/rounds/1").await.body;
        let mut conn = console.link.conn().await.unwrap();
        for (at, product) in kept["products"].as_array().unwrap().iter().enumerate() {
            let id = product["id"].as_str().unwrap();
            let stock = format!("seckill::{{1::{id}::01}}::stock");
            let stock: u64 = conn.hget(stock, "sale_stock_amount").await.unwrap();
            assert_eq!(Some(stock), product["amount"].as_u64(), "turn {turn}: {id}");
            assert_eq!(round["products"][at]["amount"], stock);
        }
    }
    // Nobody raised anything: no adjustment was taken back.
    let log = console
        .get(&li, "/ops/api/audit?action=stock.adjust")
        .await
        .body;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 35, "seven products in five turns");
    for entry in entries {
        let [from, to] = [0, 1].map(|at| entry["detail"]["amount"][at].as_u64().unwrap());
        assert!(to < from, "{entry}");
    }
}

#[tokio::test]
async fn the_list_the_report_and_a_copy_go_by_the_amounts_in_force() {
    let (console, li, wang, _) = three().await;
    let mut two = form("153");
    let mut other = two["products"][0].clone();
    other["id"] = json!("154");
    two["products"].as_array_mut().unwrap().push(other);
    let round = make(&console, &li, &two).await;
    let round = step(&console, &li, &round, "submit").await.body;
    step(&console, &wang, &round, "approve").await;
    for (product, amount) in [("153", 30), ("154", 0)] {
        let path = format!("/ops/api/stock/1/{product}");
        let lowered = console.post(&li, &path, &json!({ "amount": amount })).await;
        assert_eq!(lowered.status, StatusCode::OK, "{}", lowered.body);
    }
    let list = console.get(&li, "/ops/api/rounds").await.body;
    assert_eq!(list["rounds"][0]["items"], 30, "{list}");
    let report = console.get(&li, "/ops/api/rounds/1/report").await.body;
    let offered = |place: usize| &report["products"][place]["amount"];
    assert_eq!((offered(0), offered(1)), (&json!(30), &json!(0)));
    let copy = console
        .post(&li, "/ops/api/rounds/1/copy", &json!({}))
        .await;
    assert_eq!(copy.status, StatusCode::CREATED, "{}", copy.body);
    let planned = |place: usize| &copy.body["products"][place]["amount"];
    // What is taken off by its amount is planned as it was.
    assert_eq!((planned(0), planned(1)), (&json!(30), &json!(100)));
}
