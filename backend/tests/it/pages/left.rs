//! What is left, in a file for everybody.

use seckill::pages::left;
use seckill::redis::segments::Segments;
use serde_json::{Value, json};

use crate::common::shop::Shop;
use crate::common::{eventually, now_ms};

#[tokio::test]
async fn what_is_left_is_in_a_file_that_follows_the_sale() {
    let shop = Shop::open(100).await;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("shop")).unwrap();
    let (origin, link) = (folder.path().to_owned(), shop.link.clone());
    let segments = Segments::on(link.clone());
    let writing = tokio::spawn(left::run(origin, link, segments, shop.stop.clone()));
    let file = folder.path().join("shop/left.json");
    let until = async |wanted: Value| {
        eventually(&format!("{wanted} are left"), || async {
            let text = std::fs::read_to_string(&file).ok()?;
            let read: Value = serde_json::from_str(&text).unwrap();
            (read["left"]["1-153"] == wanted).then_some(read)
        })
        .await
    };
    let before_ms = now_ms();
    let read = until(json!([100, 100])).await;
    assert!(read["at_ms"].as_u64().unwrap() + 5_000 > before_ms);
    assert!(shop.buys("ann", "r1").await);
    until(json!([99, 100])).await;
    shop.shut().await;
    writing.await.unwrap();
}
