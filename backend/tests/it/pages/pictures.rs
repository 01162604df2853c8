//! Pictures that were uploaded and that nobody uses any more.

use std::fs;
use std::io::Cursor;
use std::time::{Duration, SystemTime};

use image::{ImageFormat, Rgb, RgbImage};
use seckill::pages::{Options, Renderer, picture};
use seckill::sale::file::{self, Form};
use seckill::sale::import;
use seckill::store::{Actor, LazyStore, Store};
use seckill_core::pages::picture::Picture;
use tokio::sync::oneshot;

use super::shop::Shop;
use crate::common::{eventually, now_ms};

/// How long a picture that nobody needs is kept here.
const KEEP: Duration = Duration::from_millis(1_500);

/// The file of a picture that is not like another.
fn file(colour: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = RgbImage::from_pixel(640, 480, Rgb([colour, 90, 90]));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

impl Shop {
    fn upload(&self, colour: u8) -> Picture {
        picture::store(&self.origin(), &file(colour), None).unwrap()
    }

    fn has(&self, picture: &Picture) -> bool {
        picture::is_there(&self.origin(), picture)
    }

    async fn until_gone(&self, picture: &Picture) {
        eventually("the picture is gone", || async {
            (!self.has(picture)).then_some(())
        })
        .await;
    }

    /// Uploaded as long ago as pictures are that are in use for long.
    fn age(&self, picture: &Picture) {
        for rendition in picture.renditions() {
            let path = self.origin().join("pictures").join(rendition.file);
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            let long_ago = SystemTime::now() - Duration::from_secs(86_400);
            file.set_modified(long_ago).unwrap();
        }
    }

    /// Stores a draft with this line about its product's picture.
    async fn draft(&self, store: &Store, picture: &str) {
        let text = format!(
            "[[round]]\nid = \"d\"\nname = \"Draft\"\nstarts = \"+24h\"\nends = \"+1h\"\n\
             [[round.product]]\nid = \"7\"\ntitle = \"Lamp\"\namount = 1\nprice_cents = 1\n\
             {picture}\n"
        );
        let rounds = file::parse(&text, Form::Toml, now_ms()).unwrap();
        let by = Actor::on_the_box();
        import::import(store, &rounds, &by, now_ms()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_some_time_after_the_last_page_and_the_last_draft_let_go_of_it() {
    let shop = Shop::open().await;
    shop.renderer();
    let [shown, replaced, drafted, abandoned] = [1, 2, 3, 4].map(|colour| shop.upload(colour));
    let url = format!("sqlite:{}", shop.folder.path().join("db").display());
    let store = Store::open(&url).await.unwrap();
    shop.draft(&store, &format!("picture = \"{drafted}\""))
        .await;
    shop.edit("picture", &replaced.to_string()).await;
    for picture in [&shown, &replaced, &drafted, &abandoned] {
        shop.age(picture);
    }
    let foreign = shop.origin().join("pictures/banner.jpg");
    fs::write(&foreign, b"put there by hand").unwrap();

    let options = Options {
        keep_pictures: KEEP,
        rounds: Some(LazyStore::opened(store.clone())),
        ..shop.options()
    };
    let renderer = Renderer::open(options).unwrap();
    let (ready, all_rendered) = oneshot::channel();
    tokio::spawn(renderer.run(shop.redis.clone(), ready, shop.stop.child_token()));
    all_rendered.await.unwrap();
    shop.edit("picture", &shown.to_string()).await;
    shop.until_page("1-153.html", &shown.src()).await;

    // Uploaded and never used, and used until it was replaced; not at once, since a
    // page that is open may still load it.
    let since = now_ms();
    shop.until_gone(&abandoned).await;
    shop.until_gone(&replaced).await;
    assert!(now_ms() - since >= 1_000, "there was no time of grace");
    assert!(shop.has(&shown) && shop.has(&drafted) && foreign.is_file());

    // The draft lets go of it; the same file is uploaded again and begins anew.
    shop.draft(&store, "").await;
    let again = shop.upload(3);
    assert_eq!(again, drafted);
    assert!(shop.has(&again));
    shop.until_gone(&again).await;
    assert!(shop.has(&shown), "a page that names a picture keeps it");
}
