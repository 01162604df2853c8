//! What stands in the CDN origin.

use std::fs;
use std::time::Duration;

use redis::AsyncCommands as _;
use seckill::pages::{Options, Renderer};
use seckill_core::keys;

use super::shop::{Shop, assets_in};
use crate::common::eventually;

#[tokio::test]
async fn an_approval_has_its_pages_rendered_and_an_edit_replaces_one() {
    let shop = Shop::open().await;
    shop.render().await;
    let page = shop.page("1-153.html").unwrap();
    assert!(
        page.contains("&#60;Phone&#62;") && !page.contains("<Phone>"),
        "{page}"
    );
    assert!(page.contains("999.00"));
    let case = fs::metadata(shop.origin().join("product/1-20.html")).unwrap();

    shop.edit("text", "Two **sizes** & <b>one</b> colour").await;
    let page = shop.until_page("1-153.html", "Two <strong>sizes").await;
    assert!(
        page.contains("&amp; &lt;b&gt;one&lt;/b&gt; colour"),
        "{page}"
    );
    let same = fs::metadata(shop.origin().join("product/1-20.html")).unwrap();
    assert_eq!(
        case.modified().unwrap(),
        same.modified().unwrap(),
        "an unchanged page is left alone"
    );

    shop.edit("picture", "0123456789abcdef-960x720").await;
    let page = shop.until_page("1-153.html", "srcset=").await;
    assert!(page.contains("width=\"960\" height=\"720\""));
    assert!(
        page.contains("alt=\"&#60;Phone&#62;\""),
        "the title: {page}"
    );
    shop.edit("picture_alt", "Unfolded & \"lit\"").await;
    let page = shop.until_page("1-153.html", "Unfolded").await;
    for place in ["alt=", "og:image:alt\" content="] {
        let said = format!("{place}\"Unfolded &#38; &#34;lit&#34;\"");
        assert!(page.contains(&said), "{said}: {page}");
    }
    shop.edit("picture", "../../etc/passwd").await;
    shop.edit("title", "Plain again").await;
    let page = shop.until_page("1-153.html", "Plain again").await;
    assert!(
        !page.contains("passwd"),
        "what is no picture's name stands nowhere"
    );

    shop.approve("2").await;
    shop.until_page("2-153.html", "Phone").await;
}

#[tokio::test]
async fn every_asset_that_a_page_leads_to_is_there_and_bears_its_hash() {
    let shop = Shop::open().await;
    shop.render().await;
    let start = fs::read_to_string(shop.origin().join("shop/index.html")).unwrap();
    let mut open = assets_in(&start);
    open.extend(assets_in(&shop.page("1-153.html").unwrap()));
    assert!(open.iter().any(|name| name.starts_with("product-page.")));
    for name in open {
        let digits = name.split('.').nth(1).unwrap();
        assert_eq!(digits.len(), 16, "{name} bears a hash");
        let text = fs::read_to_string(shop.origin().join("assets").join(&name)).unwrap();
        assert!(shop.origin().join(format!("assets/{name}.gz")).is_file());
        for import in text.split("from '").skip(1) {
            let import = import.split('\'').next().unwrap().trim_start_matches("./");
            let there = shop.origin().join("assets").join(import).is_file();
            assert!(there, "{name} imports {import}");
        }
    }
}

#[tokio::test]
async fn a_new_version_of_the_shop_keeps_the_old_assets_for_open_pages() {
    let shop = Shop::open().await;
    shop.render().await.cancel();
    let old = shop.page("1-153.html").unwrap();

    let words = shop.folder.path().join("html/assets/words.js");
    let text = fs::read_to_string(&words).unwrap();
    fs::write(&words, format!("{text}\n// another version\n")).unwrap();
    shop.render().await.cancel();
    let new = shop.page("1-153.html").unwrap();
    let (old, new) = (assets_in(&old), assets_in(&new));
    let script = |of: &[String]| {
        of.iter()
            .find(|it| it.starts_with("product-page."))
            .unwrap()
            .clone()
    };
    assert_ne!(script(&old), script(&new), "it leads to the changed words");
    let style = |of: &[String]| {
        of.iter()
            .find(|it| it.starts_with("product.") && it.ends_with(".css"))
            .unwrap()
            .clone()
    };
    assert_eq!(
        style(&old),
        style(&new),
        "what did not change keeps its name"
    );
    let is_there = |name: &str| shop.origin().join("assets").join(name).is_file();
    assert!(is_there(&script(&old)) && is_there(&script(&new)));

    let options = Options {
        keep_assets: Duration::ZERO,
        ..shop.options()
    };
    Renderer::open(options)
        .unwrap()
        .catch_up(&shop.redis)
        .await
        .unwrap();
    assert!(!is_there(&script(&old)), "its time of grace is over");
    assert!(is_there(&script(&new)) && is_there(&style(&new)));
}

#[tokio::test]
async fn a_renderer_that_was_down_catches_up() {
    let shop = Shop::open().await;
    shop.render().await.cancel();
    shop.edit("title", "Edited while nobody rendered").await;
    shop.approve("2").await;
    let mut conn = shop.redis.conn().await.unwrap();
    // Not even the messages are there any more.
    let _: () = conn
        .xtrim(
            keys::PRODUCT_MESSAGES,
            redis::streams::StreamMaxlen::Equals(0),
        )
        .await
        .unwrap();
    shop.render().await;
    assert!(shop.page("1-153.html").unwrap().contains("Edited while"));
    assert!(shop.page("2-20.html").is_some());
}

#[tokio::test]
async fn a_redis_that_was_lost_and_begun_anew_is_followed() {
    let shop = Shop::open().await;
    shop.render().await.cancel();
    let mut conn = shop.redis.conn().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut conn).await.unwrap();
    fs::remove_file(shop.folder.path().join("db")).unwrap();
    // A clock that is a year behind wrote the first message of the new one.
    let _: () = conn
        .xadd(keys::PRODUCT_MESSAGES, "1-1", &[("round", "0")])
        .await
        .unwrap();
    shop.renderer().catch_up(&shop.redis).await.unwrap();
    assert!(shop.page("1-153.html").is_none());
}

#[tokio::test]
async fn several_renderers_of_one_folder_end_with_the_last_edit() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        shop.render().await;
    }
    for n in 0..40 {
        shop.edit("title", &format!("Edit {n}.")).await;
    }
    shop.until_page("1-153.html", "Edit 39.").await;
    // A renderer that waits for the next message has processed all earlier ones: also
    // one that lagged behind is done.
    let conn = shop.redis.conn().await.unwrap();
    eventually("all three wait for another message", || {
        let mut conn = conn.clone();
        async move {
            let info: redis::InfoDict = redis::cmd("INFO")
                .arg("clients")
                .query_async(&mut conn)
                .await
                .ok()?;
            (info.get::<u32>("blocked_clients")? == 3).then_some(())
        }
    })
    .await;
    assert!(shop.page("1-153.html").unwrap().contains("Edit 39."));
}
