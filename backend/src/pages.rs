//! The renderer: follows product messages and keeps the CDN origin up to date (course
//! §068, §183); and the document of the day.
//!
//! At its start the renderer brings everything up to date, whatever it missed; from
//! then on it follows the messages. It renders from Redis, and needs the database only
//! to remove pictures. Several may run, on one folder or on folders of their own. This
//! module uses sales, the store, Redis and HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seckill_core::orders::money::Currency;
use seckill_core::pages::assets::{Assets, Rewritten, Unfit};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::message::{self, Version};
use crate::sale::page::{self, PageContent};
use crate::store::LazyStore;
use crate::time::periodic::Passes;

/// What operators say to everybody who waits.
pub mod announcement;
/// Brings the pages in the origin up to date.
mod apply;
/// Requests to the caches in front of the origin.
mod cache_client;
/// Reads the content of a round's pages from Redis.
mod content;
/// The document of the day: a day's rounds, assembled once and cached.
pub mod day;
/// What is left of the products that sell now.
pub mod left;
/// The CDN origin: the folder that nginx serves.
mod origin;
/// Pictures of products: checked, scaled, stored by their content.
pub mod picture;
/// Purges changed addresses from caches.
pub mod purge;
/// Reports of the renderers for `seckill status`.
pub mod report;
/// Removes orphaned pages, assets and pictures.
mod sweep;
/// Prewarms caches with changed pages and their files.
mod warm;

use crate::config::targets::Targets;

pub(crate) use origin::replace as replace_file;

use apply::{Changed, Failed};
use origin::Origin;
use purge::Purges;
use sweep::Keep;

/// How long one read waits for product messages, in milliseconds.
const WAIT_MS: usize = 1_000;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// How often orphans are removed.
const SWEEP: Duration = Duration::from_secs(30);

/// The options of a renderer.
#[derive(Debug, Clone)]
pub struct Options {
    /// The shop's own files: `html/static`.
    pub shop: PathBuf,
    /// The CDN origin.
    pub origin: PathBuf,
    /// How long pages stay after their round's end.
    pub keep_pages: Duration,
    /// How long assets stay after the last page that needs them.
    pub keep_assets: Duration,
    /// How long pictures stay that neither a page nor a round uses.
    pub keep_pictures: Duration,
    /// The database with all rounds, also drafts; without it no picture is removed.
    pub rounds: Option<LazyStore>,
    /// How often orphans are removed.
    pub sweep: Duration,
    /// The caches to purge and to prewarm.
    pub targets: Targets,
    /// The currency of all prices.
    pub currency: Currency,
}

impl Options {
    /// A renderer of these files into this folder that purges no cache.
    #[must_use]
    pub fn new(shop: &Path, origin: &Path) -> Self {
        Self {
            shop: shop.to_owned(),
            origin: origin.to_owned(),
            keep_pages: Duration::from_secs(86_400),
            keep_assets: Duration::from_secs(86_400),
            keep_pictures: Duration::from_secs(7 * 86_400),
            rounds: None,
            sweep: SWEEP,
            targets: Targets::default(),
            currency: Currency::CNY,
        }
    }
}

/// Why a renderer could not be opened, or a page not rendered.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// A file of the shop or of the origin cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The shop's files do not fit together.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The template could not be filled in.
    #[error("the page of round {round}, product {product} could not be rendered: {source}")]
    Render {
        /// The round's id.
        round: String,
        /// The product's id.
        product: String,
        /// The cause.
        source: askama::Error,
    },
    /// Redis is away or refused.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
}

/// Renders into one folder.
#[derive(Debug, Clone)]
pub struct Renderer {
    origin: Origin,
    assets: Arc<Assets>,
    purges: Purges,
    options: Arc<Options>,
}

impl Renderer {
    /// Reads the shop's files and publishes them: its pages, and all assets under
    /// hashed names. Blocks; meant for the start.
    ///
    /// # Errors
    /// A file cannot be read or written, or refers to one that is not there.
    pub fn open(options: Options) -> Result<Self, PagesError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PagesError::File { path, source }
        };
        let folder = options.shop.join("assets");
        let files = read_files(&folder).map_err(failed(&folder))?;
        let assets = Assets::new(&files)?;
        let mut sources = BTreeMap::new();
        read_pages(&options.shop, &mut sources).map_err(failed(&options.shop))?;
        let (mut pages, mut needs) = (BTreeMap::new(), BTreeSet::new());
        for (name, html) in sources {
            let html = page::with_currency(&html, options.currency);
            let rewritten = assets.rewrite_html(&name, &html).map_err(Unfit::from)?;
            needs.extend(rewritten.needs);
            pages.insert(name, rewritten.html.into_bytes());
        }
        // Also modules that are loaded only by name, or by later pages.
        needs.extend(assets.iter().map(|asset| asset.file.clone()));
        let origin = Origin::open(&options.origin).map_err(failed(&options.origin))?;
        let purges = Purges::new(options.targets.clone());
        apply::shop(&origin, &purges, &assets, &pages, needs).map_err(failed(&options.origin))?;
        Ok(Self {
            origin,
            assets: Arc::new(assets),
            purges,
            options: Arc::new(options),
        })
    }

    /// Renders until `stop`. `ready` is notified when everything is up to date for the
    /// first time.
    pub async fn run(self, redis: RedisLink, ready: oneshot::Sender<()>, stop: CancellationToken) {
        let purging = tokio::spawn(self.purges.clone().run(self.origin.clone(), stop.clone()));
        let reporting = report::run(self.origin.clone(), redis.clone(), stop.clone());
        let reporting = tokio::spawn(reporting);
        let sweeping = sweep::run(self.origin.clone(), self.options.clone(), stop.clone());
        let sweeping = tokio::spawn(sweeping);
        let mut ready = Some(ready);
        let mut passes = Passes::new(stop.clone(), "pages wait to be rendered", PAUSE);
        while passes.go_on() {
            let ended = tokio::select! {
                () = stop.cancelled() => break,
                Err(ended) = self.follow(&redis, &mut ready, &mut passes) => ended,
            };
            passes.pause_after(Err(ended)).await;
        }
        for task in [purging, reporting, sweeping] {
            // They end by the same `stop`.
            let _ = task.await;
        }
    }

    /// Brings everything up to date, then follows the messages until something
    /// fails.
    async fn follow(
        &self,
        redis: &RedisLink,
        ready: &mut Option<oneshot::Sender<()>>,
        passes: &mut Passes,
    ) -> Result<Infallible, PagesError> {
        let mut last = self.catch_up(redis).await?;
        passes
            .pause_after(Ok::<_, PagesError>(Duration::ZERO))
            .await;
        if let Some(ready) = ready.take() {
            // Nobody may be waiting any more.
            let _ = ready.send(());
        }
        let mut listening = redis.dedicated().await?;
        let mut swept = Instant::now();
        loop {
            let messages = message::next(&mut listening, last, WAIT_MS).await?;
            // Of several messages about a round only the last one matters.
            let rounds: BTreeMap<&str, Version> = messages
                .iter()
                .map(|message| (message.round.as_str(), message.version))
                .collect();
            for (round, version) in rounds {
                self.render(redis, round, version).await?;
            }
            if let Some(message) = messages.last() {
                last = message.version;
                self.publish_version(last).await?;
            }
            if swept.elapsed() >= self.options.sweep {
                self.sweep().await?;
                swept = Instant::now();
            }
        }
    }

    /// Renders all rounds, and removes pages of no round. Returns the version of the
    /// rounds that were read.
    ///
    /// # Errors
    /// Redis is away, or a file cannot be written.
    pub async fn catch_up(&self, redis: &RedisLink) -> Result<Version, PagesError> {
        let mut conn = redis.conn().await?;
        let version = message::version(&mut conn).await?;
        let mut rounds = content::rounds(&mut conn).await?;
        let origin = self.origin.clone();
        let (recorded, latest) = self
            .on_disk(move || apply::recorded_versions(&origin))
            .await?;
        // A recorded version had its message: if it is unknown now, Redis has lost it.
        if latest > message::version(&mut conn).await? {
            tracing::warn!("Redis is older than the pages; they are made to follow it");
            let origin = self.origin.clone();
            self.on_disk(move || apply::forget_versions(&origin))
                .await?;
        }
        rounds.extend(recorded);
        for round in rounds {
            self.render(redis, &round, version).await?;
        }
        self.publish_version(version).await?;
        self.sweep().await?;
        Ok(version)
    }

    async fn render(
        &self,
        redis: &RedisLink,
        round: &str,
        version: Version,
    ) -> Result<(), PagesError> {
        if !seckill_core::ids::is_id(round) {
            return Ok(());
        }
        let mut conn = redis.conn().await?;
        let content = content::read(&mut conn, round).await?;
        let over_ms = u64::try_from(self.options.keep_pages.as_millis()).unwrap_or(u64::MAX);
        let content = content.filter(|it| it.ends_ms.saturating_add(over_ms) > now_ms());
        let (me, id) = (self.clone(), round.to_owned());
        // In a thread for blocking work: ten thousand pages take a moment.
        let work = move || {
            let fill_in = |page: &PageContent| me.fill_in(page);
            let state = (version, content);
            Ok(apply::round(&me.origin, &me.purges, &id, state, fill_in))
        };
        let changed = match self.on_disk(work).await? {
            Ok(changed) => changed,
            Err(Failed::Page(error)) => return Err(error),
            Err(Failed::Disk(source)) => return Err(self.failed(source)),
        };
        if changed != Changed::default() {
            let Changed { written, removed } = changed;
            tracing::info!(round, written, removed, "pages published");
        }
        Ok(())
    }

    fn fill_in(&self, content: &PageContent) -> Result<Rewritten, PagesError> {
        let site = self.options.targets.site.as_deref();
        let html = page::html(content, self.options.currency, site).map_err(|source| {
            PagesError::Render {
                round: content.round.clone(),
                product: content.product.clone(),
                source,
            }
        })?;
        Ok(self
            .assets
            .rewrite_html("html/templates/product.html", &html)
            .map_err(Unfit::from)?)
    }

    async fn publish_version(&self, version: Version) -> Result<(), PagesError> {
        let (origin, purges) = (self.origin.clone(), self.purges.clone());
        self.on_disk(move || apply::publish_version(&origin, &purges, version))
            .await
    }

    async fn sweep(&self) -> Result<(), PagesError> {
        let (origin, purges) = (self.origin.clone(), self.purges.clone());
        let keep = Keep {
            pages: self.options.keep_pages,
            assets: self.options.keep_assets,
        };
        let changed = self
            .on_disk(move || sweep::pages(&origin, &purges, keep, now_ms()))
            .await?;
        if changed.removed > 0 {
            tracing::info!(removed = changed.removed, "orphaned pages removed");
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> PagesError {
        let path = self.origin.root().to_owned();
        PagesError::File { path, source }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, PagesError> {
        blocking(work).await.map_err(|source| self.failed(source))
    }
}

/// Runs work that waits for a disk in a thread for blocking work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The time, epoch nanoseconds.
fn now_ns() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

/// All files below `folder`, by their paths.
fn read_files(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let read = |name: String| {
        let bytes = std::fs::read(folder.join(&name))?;
        Ok((name, bytes))
    };
    origin::names(folder)?.into_iter().map(read).collect()
}

/// The shop's own pages, by their names.
fn read_pages(folder: &Path, pages: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && name.ends_with(".html")
            && !name.starts_with('.')
        {
            pages.insert(name, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
