//! The stock lies on several masters: one is emptied in the middle of the sale,
//! one comes back as it was some purchases ago, one is well.

use std::ops::Range;

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::inspect::rebuild::{Options, RebuildError, Report};
use seckill::redis::segments::Segments;
use seckill::stock::transfer;
use seckill_core::keys;

use super::{open_on_masters, rebuild};
use crate::common::masters::totals;
use crate::common::shop::{Shop, click};
use crate::common::{TestRedis, entry, eventually, item};

const AMOUNTS: [u64; 3] = [20, 20, 20];
const TOTAL: u64 = 60;

/// Each buys one item and has an order; every third pays, every third cancels.
async fn sell(shop: &Shop, buyers: Range<u32>) {
    for n in buyers {
        let user = format!("buyer{n}");
        let permit = format!("e.l.{}", n + 1);
        let answer = shop.send(click(&user, "r", Some(&permit))).await;
        assert_eq!(answer.0, StatusCode::ACCEPTED, "{}", answer.1);
        let order = shop.until_ordered(&user).await;
        let step = match n % 3 {
            0 => "pay",
            1 => "cancel",
            _ => continue,
        };
        let path = format!("/api/orders/{order}/{step}");
        assert_eq!(shop.post(&path, &user).await.0, StatusCode::OK);
    }
    shop.until_drained().await;
}

/// Buys until nothing is left, whoever has to be asked twice; how many that were.
async fn sell_out(shop: &Shop) -> u64 {
    for n in 0.. {
        let user = format!("late{n}");
        let last_word = eventually("there is a last word", || async {
            let (_, answer) = shop.click(&user, "r").await;
            let code = answer["code"].as_str().unwrap_or("bought").to_owned();
            (code != "busy" && code != "unavailable").then_some(code)
        })
        .await;
        if last_word != "bought" {
            assert_eq!(last_word, "sold_out");
            return n;
        }
    }
    unreachable!("stock ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_masters_one_is_emptied_and_one_is_old_and_exactly_all_is_sold() {
    let mut shop = open_on_masters(&AMOUNTS).await;
    shop.run_all();
    shop.settle();
    let (link, segments) = (shop.link.clone(), shop.segments.clone());
    let finish = transfer::run(
        link,
        segments,
        transfer::Options::default(),
        shop.stop.clone(),
    );
    shop.roles.spawn(finish);

    sell(&shop, 0..12).await;
    shop.masters[2].snapshot().await;
    sell(&shop, 12..24).await;

    let emptied = shop.masters[1].link().await;
    let mut conn = emptied.conn().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    shop.masters[2].go_back().await;
    // Whose segment is well buys on meanwhile, and so does whose segment is old and
    // does not know it.
    let mut bought = 0;
    for n in 100..112 {
        let (status, _) = shop.click(&format!("meanwhile{n}"), "r").await;
        bought += u64::from(status == StatusCode::ACCEPTED);
    }
    assert!(bought > 0, "a master that is well sells on");
    shop.until_drained().await;

    let dry = Options {
        dry_run: true,
        ..Options::default()
    };
    let would = rebuild(&shop, dry.clone()).await.unwrap();
    let touched: Vec<u16> = would.products[0]
        .segments
        .iter()
        .map(|segment| segment.segment)
        .collect();
    assert!(touched.contains(&2) && touched.contains(&3), "{would:?}");
    let done = rebuild(&shop, Options::default()).await.unwrap();
    assert_eq!(done, would);
    assert_eq!(done.products[0].oversold, 0);
    assert_eq!(rebuild(&shop, dry).await.unwrap(), Report::default());

    // Nobody of before gets a second one.
    for n in (2..24).step_by(3) {
        let answer = eventually("the buyer reads the outcome", || async {
            let (_, answer) = shop.click(&format!("buyer{n}"), "again").await;
            (answer["code"] != "busy" && answer["code"] != "unavailable").then_some(answer)
        })
        .await;
        assert_eq!(answer["code"], "duplicate", "buyer{n}: {answer}");
    }
    let late = sell_out(&shop).await;
    assert!(late > 0);
    shop.until_orders(TOTAL).await;
    shop.until_drained().await;
    let entry = entry(TOTAL, 3);
    let (for_sale, locked, on_its_way) = totals(&shop.segments, &entry).await;
    let mut paid = 0;
    for number in 1..=3 {
        let mut conn = shop.segments.conn(&item(), number).await.unwrap();
        let key = keys::stock(&item(), number);
        let saled: u64 = conn.hget(key, "saled_stock_amount").await.unwrap();
        paid += saled;
    }
    assert_eq!((for_sale, locked, paid, on_its_way), (0, TOTAL - 8, 8, 0));
    let report = shop.verify().await;
    assert!(report.pass, "{}", report.text());
    shop.shut().await;
}

#[tokio::test]
async fn no_second_stock_is_made_where_the_list_of_masters_was_turned_round() {
    let mut shop = open_on_masters(&[20, 20]).await;
    shop.archive();
    eventually("both are archived", || async {
        let of = async |segment| shop.store.ledger(&item(), segment).await.unwrap().len();
        (of(1).await + of(2).await == 2).then_some(())
    })
    .await;
    let mut urls: Vec<String> = shop.masters.iter().map(TestRedis::url).collect();
    urls.reverse();
    let right = shop.segments.clone();
    shop.segments = Segments::open(&shop.link, &urls).unwrap();
    for only_exact in [false, true] {
        let options = Options {
            only_exact,
            ..Options::default()
        };
        let refused = rebuild(&shop, options).await.unwrap_err();
        assert!(
            matches!(refused, RebuildError::Elsewhere { .. }),
            "{refused}"
        );
    }
    assert_eq!(totals(&right, &entry(40, 2)).await, (40, 0, 0));
    shop.shut().await;
}
