//! What a rebuild tells of what it did, also where something failed.

use seckill::inspect::rebuild::PutBack;
use seckill::store::AuditQuery;
use seckill_core::keys;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::common::program;

async fn put_back(shop: &Shop) -> PutBack {
    let rebuilder = Rebuilder {
        store: &shop.store,
        redis: &shop.link,
        segments: &shop.segments,
        zone: &TimeZone::UTC,
        queue_is_visible: true,
    };
    rebuilder.rebuild(&Options::default()).await.unwrap()
}

/// Gives the command; returns whether it went well, and what it said on both outputs.
fn command(shop: &Shop, more: &[&str]) -> (bool, [String; 2]) {
    let folder = TempDir::new().unwrap();
    let output = program()
        .args(["stock", "rebuild"])
        .args(more)
        .env("SECKILL_DATA", folder.path())
        .env("SECKILL_REDIS_URL", shop.redis.url())
        .env("SECKILL_DATABASE_URL", &shop.database_url)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_for_one_product_prints_what_it_did_for_the_others() {
    let shop = open(10).await;
    store_round(&shop, "0", &[10]).await;
    let mut conn = shop.link.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    let damaged = keys::buyers(&Item::new("0", "153").unwrap(), 1);
    let () = conn.set(&damaged, "something else").await.unwrap();

    let (went_well, [report, complaint]) = command(&shop, &[]);
    assert!(!went_well);
    for part in [
        "1::153::01 has 10 for sale, 0 locked, 0 sold instead of nothing",
        "Round 1 is on sale again.",
    ] {
        assert!(report.contains(part), "{report} {complaint}");
    }
    assert!(!report.contains("Round 0"), "{report}");
    let said = "seckill: 0::153: the stock was not wholly put back: ";
    assert!(complaint.contains(said), "{complaint}");
    let wanted = AuditQuery {
        action: "stock.rebuild".to_owned(),
        limit: 10,
        ..AuditQuery::default()
    };
    let entry = &shop.store.audit(&wanted).await.unwrap()[0].detail;
    assert_eq!(entry["products"], serde_json::json!(["1::153"]), "{entry}");
    assert_eq!(entry["outcome"], "unknown", "{entry}");

    // Nothing is left to do but what fails, which is not called right.
    let (went_well, [report, _]) = command(&shop, &["--json"]);
    assert!(!went_well);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["products"], serde_json::json!([]));
    let failed = report["failed"][0].as_str().unwrap();
    assert!(failed.starts_with("0::153: "), "{failed}");
    let (_, [report, _]) = command(&shop, &[]);
    assert_eq!(report, "");

    let () = conn.del(&damaged).await.unwrap();
    let (went_well, [report, complaint]) = command(&shop, &[]);
    assert!(went_well, "{complaint}");
    assert!(report.contains("Round 0 is on sale again."), "{report}");
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_were_put_back_are_told_where_another_one_failed() {
    let shop = open_on_masters(&[20, 20]).await;
    let master = |number: usize| shop.masters[number - 1].link();
    for number in [1, 2] {
        let mut conn = master(number).await.conn().await.unwrap();
        redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    }
    let mut second = master(2).await.conn().await.unwrap();
    let may = |right: &str| {
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("default").arg(right);
        set
    };
    // The first that is written to a segment.
    may("-del").exec_async(&mut second).await.unwrap();
    let done = put_back(&shop).await;
    let numbers = |done: &PutBack| {
        let segments = done.report.products.iter().flat_map(|it| &it.segments);
        segments.map(|it| it.segment).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&done), [1], "{done:?}");
    assert_eq!(done.report.products[0].permits, None);
    let [failed] = &done.failed[..] else {
        panic!("{done:?}");
    };
    let failed = failed.to_string();
    assert!(failed.starts_with("1::153: the stock was not"), "{failed}");

    may("+del").exec_async(&mut second).await.unwrap();
    let done = put_back(&shop).await;
    assert_eq!(
        (numbers(&done), done.failed.len()),
        (vec![2], 0),
        "{done:?}"
    );
    shop.shut().await;
}
