//! What is exported imports again, here and elsewhere.

use seckill::stock::adjust::{Adjuster, Raise};
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill_core::ids::Item;

use super::*;

#[tokio::test]
async fn an_exported_sale_imports_to_the_same_rounds() {
    let shop = Shop::open().await;
    shop.import(&round("1", 10)).await.unwrap();
    let stored = shop.store.rounds().await.unwrap();
    let text = export::to_toml(&stored, &shop.zone, NOW_MS);
    assert!(
        text.contains("starts = \"2026-11-23T12:00:00+08:00\""),
        "{text}"
    );
    assert_eq!(shop.import(&text).await.unwrap(), [Change::Unchanged]);
}

#[tokio::test]
async fn what_was_changed_or_stopped_since_is_exported_as_a_file_that_imports() {
    let shop = Shop::open().await;
    let at = |id, hour: &str| round(id, 10).replace("T12:", &format!("T{hour}:"));
    let file = [at("1", "12"), at("2", "13"), at("3", "14")].concat();
    shop.import(&file).await.unwrap();
    let by = Actor::on_the_box();
    for id in ["1", "2", "3"] {
        shop.approve(id).await.unwrap();
    }
    for (product, amount) in [("153", 15), ("20", 0)] {
        let item = Item::new("1", product).unwrap();
        let adjuster = Adjuster {
            redis: &shop.redis,
            segments: &shop.segments,
            store: &shop.store,
            by: &by,
            raise: Raise::Alone("more came"),
            site: None,
        };
        adjuster.adjust(&item, amount, "r").await.unwrap();
    }
    for (step, round, product) in [
        (StopStep::Pause, "2", None),
        (StopStep::Withdraw, "2", Some("20")),
        (StopStep::Withdraw, "3", None),
    ] {
        let (cancel, reason) = (Cancelling::None, "");
        let order = StopOrder {
            step,
            round,
            product,
            cancel,
            reason,
        };
        shop.store.switch(&order, &by, NOW_MS).await.unwrap();
    }
    let stored = shop.store.rounds().await.unwrap();
    let text = export::to_toml(&stored, &shop.zone, NOW_MS);
    for part in [
        "amount = 15\n",
        "# no items\n# [[round.product]]\n# id = \"20\"",
        "# approved, paused\n[[round]]\nid = \"2\"",
        "# withdrawn\n# [[round.product]]\n# id = \"20\"",
        "# withdrawn\n# [[round]]\n# id = \"3\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(shop.import(&text).await.unwrap(), [Change::Unchanged; 2]);
    let elsewhere = Shop::open().await;
    assert_eq!(elsewhere.import(&text).await.unwrap(), [Change::Created; 2]);
}
