//! A shop whose pages are rendered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::config::targets::Targets;
use seckill::pages::{Options, Renderer};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::sale::approve::Approver;
use seckill::sale::file::{self, Form};
use seckill::sale::import;
use seckill::sale::message;
use seckill::store::{Actor, Store};
use seckill_core::ids::Item;
use seckill_core::keys;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::common::{TestRedis, eventually, now_ms};

/// A shop with one approved round of two products, "1-153" and "1-20".
pub(crate) struct Shop {
    pub(crate) folder: TempDir,
    pub(crate) redis: RedisLink,
    pub(crate) stop: CancellationToken,
    pub(crate) targets: Targets,
    pub(crate) keep_pages: Duration,
    pub(crate) server: TestRedis,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let server = TestRedis::start().await;
        let folder = TempDir::new().unwrap();
        copy(
            &repository().join("html/static"),
            &folder.path().join("html"),
        );
        let redis = server.link().await;
        let shop = Self {
            folder,
            redis,
            stop: CancellationToken::new(),
            targets: Targets::default(),
            keep_pages: Duration::from_secs(3_600),
            server,
        };
        shop.approve("1").await;
        shop
    }

    pub(crate) async fn approve(&self, round: &str) {
        let url = format!("sqlite:{}", self.folder.path().join("db").display());
        let store = Store::open(&url).await.unwrap();
        let text = format!(
            "[[round]]\nid = \"{round}\"\nname = \"Noon\"\nstarts = \"+10s\"\nends = \"+10m\"\n\
             [[round.product]]\nid = \"153\"\ntitle = \"<Phone>\"\namount = 10\n\
             price_cents = 99900\nlist_price_cents = 399900\n\
             [[round.product]]\nid = \"20\"\ntitle = \"Case\"\namount = 5\nprice_cents = 100\n"
        );
        let rounds = file::parse(&text, Form::Toml, now_ms()).unwrap();
        let by = Actor::on_the_box();
        import::import_overlapping(&store, &rounds, &by, now_ms())
            .await
            .unwrap();
        let approver = Approver {
            store: &store,
            redis: &self.redis,
            segments: &Segments::on(self.redis.clone()),
            zone: &TimeZone::UTC,
            inventory: None,
            site: None,
        };
        approver.approve(round, &by, now_ms()).await.unwrap();
        store.close().await;
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            keep_pages: self.keep_pages,
            sweep: Duration::from_millis(100),
            targets: self.targets.clone(),
            ..Options::new(&self.folder.path().join("html"), &self.origin())
        }
    }

    pub(crate) fn renderer(&self) -> Renderer {
        Renderer::open(self.options()).unwrap()
    }

    /// Runs a renderer until the returned token is cancelled or the shop ends.
    pub(crate) async fn render(&self) -> Rendering {
        let stop = self.stop.child_token();
        let (ready, all_rendered) = oneshot::channel();
        let renderer = self.renderer();
        let task = tokio::spawn(renderer.run(self.redis.clone(), ready, stop.clone()));
        all_rendered.await.unwrap();
        Rendering { stop, task }
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.folder.path().join("pages")
    }

    pub(crate) fn page(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.origin().join("product").join(name)).ok()
    }

    pub(crate) async fn until_page(&self, name: &str, has: &str) -> String {
        eventually(&format!("{name} has {has}"), || async {
            self.page(name).filter(|page| page.contains(has))
        })
        .await
    }

    /// Edits a field of product 153 as an edit of the published round does.
    pub(crate) async fn edit(&self, field: &str, value: &str) {
        let item = Item::new("1", "153").unwrap();
        let mut conn = self.redis.conn().await.unwrap();
        let _: () = conn.hset(keys::info(&item), field, value).await.unwrap();
        message::announce(&self.redis, "1").await.unwrap();
    }
}

/// A role that renders, until the shop is dropped or it is told to end.
pub(crate) struct Rendering {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Rendering {
    /// Tells it to end.
    pub(crate) fn cancel(&self) {
        self.stop.cancel();
    }

    /// The same, and waits until it has.
    pub(crate) async fn ended(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The addresses under `/assets/` that stand in a text.
pub(crate) fn assets_in(text: &str) -> Vec<String> {
    let starts = text
        .match_indices("/assets/")
        .map(|(at, found)| at + found.len());
    let name = |at: usize| {
        let rest = &text[at..];
        let end = rest.find(['"', '\'', '#', '`', ')']).unwrap();
        rest[..end].to_owned()
    };
    starts.map(name).collect()
}
