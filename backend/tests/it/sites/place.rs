//! One site: a Redis, a database, a purchase role, and what the relay role does for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use seckill::config::{Listen, SitePeer, SiteSettings};
use seckill::outbox::archive;
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::shop::{self, ShopState, SiteState};
use seckill::stock::levels;
use seckill::stock::sites::moves::Mover;
use seckill::stock::sites::{Sites, account, api, watch};
use seckill::store::site_transfers::SiteTransfer;
use seckill::store::{LazyStore, Store};
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::signing::keyring::Keyring;
use seckill_core::sites::audit::Account;
use seckill_core::sites::transfer::State;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::common::masters::{ask, put_on_masters};
use crate::common::{TestRedis, database, eventually, item, ring};

/// A site.
pub struct Place {
    pub name: &'static str,
    pub link: RedisLink,
    pub segments: Segments,
    pub store: Store,
    pub entry: Entry,
    pub app: Router,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    main: TestRedis,
    _masters: Vec<TestRedis>,
    _folder: TempDir,
}

impl Place {
    /// One with this much on each of its masters.
    pub async fn open(name: &'static str, amounts: &[u64]) -> Self {
        let (main, folder) = (TestRedis::start().await, TempDir::new().unwrap());
        let mut masters = Vec::new();
        for _ in amounts {
            masters.push(TestRedis::start().await);
        }
        let link = main.link().await;
        let urls: Vec<String> = masters.iter().map(TestRedis::url).collect();
        let segments = Segments::open(&link, &urls).unwrap();
        let entry = put_on_masters(&link, &segments, amounts).await;
        let url = database::place(folder.path()).await;
        let store = Store::open(&url).await.unwrap();
        let amount: u64 = amounts.iter().sum();
        let shares: Vec<String> = amounts.iter().map(u64::to_string).collect();
        let (opens, ends, shares) = (
            entry.window.opens_ms,
            entry.window.ends_ms,
            shares.join(","),
        );
        let statements = format!(
            "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms, approved_ms, published_ms)
                 VALUES ('1', 'Noon', {opens}, {ends}, 'approved', 1, 1, 1);
             INSERT INTO round_products (round, product, position, title, amount, price_cents,
                 list_price_cents, per_buyer, segments)
                 VALUES ('1', '153', 1, 'Phone', {amount}, 99900, 99900, 2, '');
             INSERT INTO frozen_stock (round, product, amount, frozen_ms, segments)
                 VALUES ('1', '153', {amount}, 1, '{shares}');"
        );
        database::execute(&url, statements).await;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let archive = archive::run(store.clone(), link.clone(), segments.clone(), stop.clone());
        tasks.spawn(archive);
        let app = shop_of(&link, &segments, None).await;
        Self {
            name,
            link,
            segments,
            store,
            entry,
            app,
            tasks,
            stop,
            main,
            _masters: masters,
            _folder: folder,
        }
    }

    /// The address of its main Redis.
    pub fn redis_url(&self) -> String {
        self.main.url()
    }

    /// Moves items here.
    pub fn mover(&self) -> Mover {
        Mover {
            redis: self.link.clone(),
            segments: self.segments.clone(),
            store: LazyStore::opened(self.store.clone()),
        }
    }

    /// For sale, sold, the limit of permits, and the amount set aside.
    pub async fn state(&self) -> (u64, u64, u64, u64) {
        let mut conn = self.link.conn().await.unwrap();
        let levels = levels::read(&mut conn, &self.segments, &item(), &self.entry).await;
        let levels = levels.unwrap();
        assert_eq!((levels.in_transit, levels.missing.len()), (0, 0));
        let limit: u64 = redis::cmd("HGET")
            .arg(keys::info(&item()))
            .arg(keys::INFO_LIMIT)
            .query_async(&mut conn)
            .await
            .unwrap();
        let (aside, _) = self
            .store
            .share_and_between(&item())
            .await
            .unwrap()
            .unwrap();
        (levels.sale, levels.locked + levels.saled, limit, aside)
    }

    /// What it says of the product.
    pub async fn account(&self) -> Account {
        let account = account::read(self.name, &self.mover(), &item()).await;
        account.unwrap().unwrap().account()
    }

    /// Waits until the archive has so many events of segment 1.
    pub async fn archived(&self, events: usize) {
        eventually("it is archived", || async {
            let ledger = self.store.ledger(&item(), 1).await.unwrap();
            (ledger.len() >= events).then_some(())
        })
        .await;
    }

    /// Sells as one of several sites from now on, and does what the relay role does.
    pub async fn join(&mut self, settings: SiteSettings, listener: TcpListener) {
        self.app = shop_of(&self.link, &self.segments, Some(&settings)).await;
        let keys = Keyring::parse(&format!("s1 {}", "k".repeat(32))).unwrap();
        let parts = (
            self.link.clone(),
            self.segments.clone(),
            LazyStore::opened(self.store.clone()),
        );
        let sites = Arc::new(Sites::new(settings, Arc::new(keys), parts).unwrap());
        let router = api::router(Arc::clone(&sites));
        self.tasks.spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        self.tasks.spawn(watch::run(sites, self.stop.clone()));
    }
}

/// A purchase role on this place's Redis that was not told of its site, once it responds.
pub async fn shop_alone(place: &Place) -> Router {
    let options = shop::Options::default();
    let (link, segments) = (place.link.clone(), place.segments.clone());
    let state = ShopState::new(link, segments, None, ring(), options).alone();
    state.until_ready().await;
    shop::router(state)
}

async fn shop_of(link: &RedisLink, segments: &Segments, site: Option<&SiteSettings>) -> Router {
    let options = shop::Options::default();
    let state = ShopState::new(link.clone(), segments.clone(), None, ring(), options);
    let app = shop::router(state.with_site(site.map(|site| SiteState::new(site, link))));
    eventually("the purchase role knows the product", || async {
        (ask(&app, "GET", "/healthz", "nobody").await.0 == 200).then_some(())
    })
    .await;
    app
}

/// Two sites and the line between them, which can be cut.
pub struct Pair {
    pub east: Place,
    pub west: Place,
    is_cut: Arc<AtomicBool>,
    cuts: Arc<std::sync::Mutex<CancellationToken>>,
    _lines: JoinSet<()>,
}

impl Pair {
    /// East, the home, and west with these amounts.
    pub async fn open(east: &[u64], west: &[u64], lost_after: Duration) -> Self {
        let (is_cut, cuts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut pair = Self {
            east: Place::open("east", east).await,
            west: Place::open("west", west).await,
            is_cut,
            cuts,
            _lines: JoinSet::new(),
        };
        let mut listeners = Vec::new();
        for _ in 0..2 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let to: Vec<String> = [&listeners[0], &listeners[1]]
            .map(|it| it.local_addr().unwrap().to_string())
            .to_vec();
        let (to_east, to_west) = (pair.line(&to[0]).await, pair.line(&to[1]).await);
        let settings = |name: &str, other: &str, url: String| SiteSettings {
            name: name.to_owned(),
            peers: vec![SitePeer {
                name: other.to_owned(),
                url: format!("http://{url}").parse().unwrap(),
            }],
            home: "east".to_owned(),
            keys: "unused".into(),
            listen: Listen::Unix("unused".into()),
            lost_after,
        };
        let mut listeners = listeners.into_iter();
        let east = settings("east", "west", to_west);
        pair.east.join(east, listeners.next().unwrap()).await;
        let west = settings("west", "east", to_east);
        pair.west.join(west, listeners.next().unwrap()).await;
        pair
    }

    /// A line to this address that can be cut; returns its own.
    async fn line(&mut self, to: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let (to, is_cut, cuts) = (to.to_owned(), self.is_cut.clone(), self.cuts.clone());
        self._lines.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let (to, cut) = (to.clone(), cuts.lock().unwrap().clone());
                open.spawn(async move {
                    let mut to = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        () = cut.cancelled() => {}
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    }
                });
            }
        });
        at
    }

    /// Cuts the line: what is under way is lost.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let mut cut = self.cuts.lock().unwrap();
        cut.cancel();
        *cut = CancellationToken::new();
    }

    /// Mends it.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn transfer(id: &str, comes: bool, wanted: u64, state: State) -> SiteTransfer {
    SiteTransfer {
        id: id.to_owned(),
        peer: "other".to_owned(),
        item: item(),
        comes,
        lost: false,
        wanted,
        items: 0,
        short: 0,
        state,
        updated_ms: 0,
    }
}

/// A transfer as the site has it that gives.
pub fn gives(id: &str, wanted: u64) -> SiteTransfer {
    transfer(id, false, wanted, State::Taking)
}

/// A transfer as the site has it that asks.
pub fn asks(id: &str, wanted: u64) -> SiteTransfer {
    transfer(id, true, wanted, State::Asked)
}
