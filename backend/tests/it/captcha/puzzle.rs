//! Puzzles over HTTP, against a real Redis.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use redis::AsyncCommands as _;
use seckill::shop::captcha::Way;
use seckill::shop::captcha::pool::Pool;
use seckill_core::captcha::puzzle::LIMITS;
use seckill_core::captcha::{pass, work};
use seckill_core::keys;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::hand;
use crate::common::shop::{self, Shop};
use crate::common::{self, item, now_ms};

const ASK: &str = "/api/captcha?round=1&product=153";
const OFFICE: &str = "203.0.113.9";

async fn shop() -> Shop {
    let way = Way::Puzzle {
        pool: Pool::open().unwrap(),
        work_bits: 8,
    };
    Shop::open_with_captcha(100, way).await
}

async fn ask(shop: &Shop, user: &str) -> Value {
    let (status, puzzle) = shop.get(ASK, user).await;
    assert_eq!(status, StatusCode::OK, "{puzzle}");
    puzzle
}

async fn send(shop: &Shop, user: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post("/api/captcha").header("cookie", common::cookie(user));
    shop.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

/// What Redis has of a puzzle, moved ten seconds into the past, so that nobody
/// has to wait: where the piece belongs.
async fn answer_of(shop: &Shop, puzzle: &Value) -> f64 {
    let key = keys::puzzle(puzzle["id"].as_str().unwrap());
    let mut conn = shop.link.conn().await.unwrap();
    let text: String = conn.get(&key).await.unwrap();
    let mut fields: Vec<String> = text.split('|').map(str::to_owned).collect();
    fields[4] = (now_ms() - 10_000).to_string();
    let _: () = conn.pset_ex(&key, fields.join("|"), 50_000).await.unwrap();
    fields[3].parse().unwrap()
}

async fn drag(shop: &Shop, user: &str, seed: u32) -> (StatusCode, Value) {
    let puzzle = ask(shop, user).await;
    let way = answer_of(shop, &puzzle).await;
    send(
        shop,
        user,
        &json!({ "id": puzzle["id"], "track": hand::drag(way, seed) }),
    )
    .await
}

fn refused(response: &(StatusCode, Value), reason: &str) {
    assert_eq!(response.0, StatusCode::FORBIDDEN, "{}", response.1);
    assert_eq!(
        (&response.1["code"], &response.1["reason"]),
        (&"captcha_required".into(), &reason.into())
    );
    assert!(response.1["message"].as_str().unwrap().ends_with('.'));
}

#[tokio::test]
async fn who_drags_the_piece_into_its_hole_gets_a_pass_that_buys_once() {
    let shop = shop().await;
    let (status, response) = drag(&shop, "li", 1).await;
    assert_eq!(status, StatusCode::OK, "{response}");
    let pass = response["pass"].as_str().unwrap().to_owned();
    let click = |request: &str| {
        let mut click = shop::click("li", request, None);
        click
            .headers_mut()
            .insert(pass::HEADER, pass.parse().unwrap());
        click
    };
    assert_eq!(shop.send(click("one")).await.0, StatusCode::ACCEPTED);
    assert_eq!(shop.send(click("two")).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_puzzle_can_be_answered_once_by_its_own_buyer_and_within_a_minute() {
    let shop = shop().await;
    let puzzle = ask(&shop, "li").await;
    let way = answer_of(&shop, &puzzle).await;
    let answer = json!({ "id": puzzle["id"], "track": hand::drag(way, 2) });
    refused(&send(&shop, "wang", &answer).await, "failed");
    // It was taken out by that answer, so that nobody can try twice.
    refused(&send(&shop, "li", &answer).await, "gone");
    let mut conn = shop.link.conn().await.unwrap();
    let next = ask(&shop, "li").await;
    let left_ms: i64 = conn
        .pttl(keys::puzzle(next["id"].as_str().unwrap()))
        .await
        .unwrap();
    assert!((1..=60_000).contains(&left_ms), "{left_ms}");
}

#[tokio::test]
async fn beside_the_hole_or_along_a_ruler_or_as_somebody_did_before_is_no_answer() {
    let shop = shop().await;
    let puzzle = ask(&shop, "li").await;
    let way = answer_of(&shop, &puzzle).await;
    let missed = json!({ "id": puzzle["id"], "track": hand::drag(way - 9.0, 3) });
    refused(&send(&shop, "li", &missed).await, "failed");

    let puzzle = ask(&shop, "li").await;
    let way = answer_of(&shop, &puzzle).await;
    let ruled: Vec<_> = (0..60)
        .map(f64::from)
        .map(|n| (n * 17.1 + n % 3.0, way * n / 59.0, 0.0))
        .collect();
    refused(
        &send(&shop, "li", &json!({ "id": puzzle["id"], "track": ruled })).await,
        "failed",
    );

    assert_eq!(drag(&shop, "wang", 4).await.0, StatusCode::OK);
    refused(&drag(&shop, "zhao", 4).await, "failed");
    assert_eq!(drag(&shop, "zhao", 5).await.0, StatusCode::OK);
}

/// Does the work that a puzzle asks for.
fn work(puzzle: &Value) -> Vec<u64> {
    use sha2::{Digest as _, Sha256};
    let (id, bits) = (puzzle["id"].as_str().unwrap(), &puzzle["work"]["part_bits"]);
    let bits = u32::try_from(bits.as_u64().unwrap()).unwrap();
    let proves = |part: usize, number: u64| {
        let digest = Sha256::digest(format!("{id}.{part}.{number}"));
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).leading_zeros() >= bits
    };
    (0..work::PARTS)
        .map(|part| (0..).find(|number| proves(part, *number)).unwrap())
        .collect()
}

#[tokio::test]
async fn work_wins_a_pass_as_well_but_not_at_once() {
    let shop = shop().await;
    let puzzle = ask(&shop, "li").await;
    let hasty = json!({ "id": puzzle["id"], "work": work(&puzzle) });
    refused(&send(&shop, "li", &hasty).await, "failed");
    let puzzle = ask(&shop, "li").await;
    answer_of(&shop, &puzzle).await;
    let patient = json!({ "id": puzzle["id"], "work": work(&puzzle) });
    assert_eq!(send(&shop, "li", &patient).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_fails_often_has_more_to_do_and_then_to_wait() {
    let shop = shop().await;
    let bits = async || {
        ask(&shop, "li").await["work"]["part_bits"]
            .as_u64()
            .unwrap()
    };
    let first = bits().await;
    for _ in 0..3 {
        let puzzle = ask(&shop, "li").await;
        let idle = json!({ "id": puzzle["id"], "work": vec![0; 8] });
        refused(&send(&shop, "li", &idle).await, "failed");
    }
    assert!(bits().await >= first + 3);
    while shop.get(ASK, "li").await.0 == StatusCode::OK {}
    let response = get(&shop, "li", None).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let (_, response) = shop.get(ASK, "li").await;
    assert_eq!(response["code"], "busy");
    assert!(response["message"].as_str().unwrap().contains("seconds"));
    assert_eq!(
        shop.get(ASK, "wang").await.0,
        StatusCode::OK,
        "others go on"
    );
}

async fn get(shop: &Shop, user: &str, address: Option<&str>) -> axum::response::Response {
    let mut request = Request::get(ASK).header("cookie", common::cookie(user));
    if let Some(address) = address {
        request = request.header("x-real-ip", address);
    }
    shop.app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_address_with_many_accounts_has_a_limit_of_its_own() {
    let shop = shop().await;
    let mut conn = shop.link.conn().await.unwrap();
    assert_eq!(
        get(&shop, "li", Some(OFFICE)).await.status(),
        StatusCode::OK
    );
    let key = keys::puzzles_issued(&format!("address:{OFFICE}"));
    let most = LIMITS.address_issued;
    let counted: u32 = conn.incr(&key, most - 1).await.unwrap();
    assert_eq!(counted, most, "it counts the address that the edge names");
    let refused = get(&shop, "wang", Some(OFFICE)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        get(&shop, "wang", Some("203.0.113.10")).await.status(),
        StatusCode::OK
    );
    assert_eq!(
        get(&shop, "wang", Some("127.0.0.1")).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_answer_is_in_nothing_that_a_shopper_receives() {
    let shop = shop().await;
    for user in ["a", "b", "c"] {
        let puzzle = ask(&shop, user).await;
        let way = answer_of(&shop, &puzzle).await;
        let mut response = puzzle.clone();
        for picture in ["picture", "piece", "outline"] {
            response["slider"][picture].take();
        }
        response["id"].take();
        let numbers = response.to_string();
        assert!(
            !numbers.contains(&format!(":{way},")) && !numbers.contains(&format!(":{way}}}")),
            "{numbers}"
        );
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_own_code() {
    let shop = shop().await;
    for (path, user, code) in [
        ("/api/captcha", "li", "bad_request"),
        ("/api/captcha?round=1", "li", "bad_request"),
        ("/api/captcha?round=1&product=9%20", "li", "bad_request"),
        ("/api/captcha?round=1&product=154", "li", "not_found"),
    ] {
        assert_eq!(shop.get(path, user).await.1["code"], code, "{path}");
    }
    let stranger = Request::get(ASK).body(Body::empty()).unwrap();
    assert_eq!(shop.send(stranger).await.1["code"], "login_required");
    let id = "0".repeat(32);
    for body in [
        json!({}),
        json!({ "id": "../../x", "work": [] }),
        json!({ "id": id, "track": "none" }),
        json!({ "id": id, "track": [[1, 2]] }),
        json!({ "id": id, "work": [-1] }),
        json!({ "round": "1", "product": "153", "response": "of another service" }),
        json!({ "id": id, "track": vec![[0.5; 3]; 5_000] }),
    ] {
        assert_eq!(send(&shop, "li", &body).await.1["code"], "bad_request");
    }
    refused(
        &send(&shop, "li", &json!({ "id": id, "track": [] })).await,
        "gone",
    );
}

#[tokio::test]
async fn puzzles_belong_to_the_click_and_not_to_the_time_before_or_after() {
    let shop = shop().await;
    let mut conn = shop.link.conn().await.unwrap();
    for (opens_in, ends_in, code) in [(5_000, 9_000, "too_early"), (-9_000, -1, "ended")] {
        let mut entry = common::entry(100, 1);
        let moved = |by: i64| now_ms().checked_add_signed(by).unwrap();
        (entry.window.opens_ms, entry.window.ends_ms) = (moved(opens_in), moved(ends_in));
        let mut pipe = redis::pipe();
        pipe.hset(keys::CATALOGUE, item().to_string(), entry.to_json())
            .ignore();
        pipe.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
            .ignore();
        pipe.exec_async(&mut conn).await.unwrap();
        common::eventually("the catalogue is read again", || async {
            (shop.get(ASK, "li").await.1["code"] == code).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_captcha_there_is_nothing_to_solve() {
    let shop = Shop::open(1).await;
    assert_eq!(
        shop.get("/api/captcha/way", "").await.1,
        json!({ "way": "off" })
    );
    assert_eq!(shop.get(ASK, "li").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_redis_nobody_passes() {
    let mut shop = shop().await;
    let puzzle = ask(&shop, "li").await;
    shop.redis.kill();
    assert_eq!(shop.get(ASK, "li").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let answer = json!({ "id": puzzle["id"], "work": work(&puzzle) });
    assert_eq!(
        send(&shop, "li", &answer).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
