//! The ops role: the day's rounds, the console, and the renderer of the pages.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use tokio::sync::oneshot;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::config::Config;
use crate::console::board::hook::{self, AlertHook};
use crate::console::{self, ConsoleState};
use crate::http::health;
use crate::http::observed::MoreMetrics;
use crate::orders::retention;
use crate::pages::day::{self, DayState};
use crate::pages::{self, Renderer};
use crate::sale::switch;
use crate::stock::retire;
use crate::store::LazyStore;

/// How long the role waits at its start until all pages are rendered.
const FIRST_PAGES: Duration = Duration::from_secs(5);

/// Starts the renderer, then serves at `ops_listen`.
///
/// # Errors
/// The address is taken.
pub(super) async fn start(parts: &Parts<'_>, running: &mut Running) -> Result<(), RoleError> {
    let (config, redis) = (parts.config, &parts.redis);
    let store = parts.store.clone();
    start_renderer(parts, store.clone(), running).await;
    if config.retire_hours > 0 {
        let after = Duration::from_secs(config.retire_hours * 3_600);
        let (rounds, main, segments) = (store.clone(), redis.clone(), parts.segments.clone());
        running.spawn(Role::Ops, move |stop| {
            retire::run(rounds.clone(), main.clone(), segments.clone(), after, stop)
        });
    }
    let (rounds, keep) = (store.clone(), config.keep.clone());
    running.spawn(Role::Ops, move |stop| {
        retention::run(rounds.clone(), keep.clone(), stop)
    });
    let (rounds, main, zone) = (store.clone(), redis.clone(), config.time_zone.clone());
    running.spawn(Role::Ops, move |stop| {
        switch::run(rounds.clone(), main.clone(), zone.clone(), stop)
    });
    let console = ConsoleState::new(config, redis.clone(), parts.segments.clone(), store)
        .with_inventory(super::inventory(config)?)
        .until(running.stop());
    let board = console.board();
    if let Some(to) = &config.alerts_webhook {
        let hook = Arc::new(alert_hook(to, config)?);
        let (watched, main) = (board.clone(), redis.clone());
        running.spawn(Role::Ops, move |stop| {
            hook::run(watched.clone(), main.clone(), hook.clone(), stop)
        });
    }
    let recorded = console.clone();
    running.spawn(Role::Ops, move |stop| recorded.clone().record_board(stop));
    let state = DayState::new(
        redis.clone(),
        config.time_zone.clone(),
        Some(&config.days_dir()),
    );
    let router = day::router(state)
        .merge(console::router(console))
        .merge(health::router(parts.check(&[Role::Ops])));
    let more: MoreMetrics = Arc::new(move || {
        let board = board.clone();
        Box::pin(async move { board.metrics().await })
    });
    running.serve(Role::Ops, &config.ops_listen, router, Some(more))
}

/// Where alerts are posted, and how they are signed.
fn alert_hook(to: &Uri, config: &Config) -> Result<AlertHook, RoleError> {
    let keys = read_keyring(&config.notify.keys).map_err(|error| match error {
        RoleError::NoKeys { path, source } => RoleError::Notify(format!(
            "alerts_webhook is set, but its keys {} cannot be read: {source}; write one line \
             \"kid secret\" that its receiver has too, and see notify_keys",
            path.display()
        )),
        other => other,
    })?;
    AlertHook::new(to.clone(), Arc::new(keys)).map_err(|error| {
        RoleError::Notify(format!(
            "alerts_webhook needs this machine's certificates, which cannot be read: \
             {error}; install ca-certificates, or name a file with authorities to trust in \
             SSL_CERT_FILE"
        ))
    })
}

/// Starts the renderer. Rounds can be shown and edited without it, so that its
/// absence is logged and stops nothing.
async fn start_renderer(parts: &Parts<'_>, rounds: LazyStore, running: &mut Running) {
    let config = parts.config;
    let Some(home) = &config.home else {
        tracing::error!(
            "no pages are rendered: the folder with html/ was not found; name it with SECKILL_HOME"
        );
        return;
    };
    let options = pages::Options {
        keep_pages: Duration::from_secs(config.page_keep_hours * 3600),
        keep_assets: Duration::from_secs(config.asset_keep_hours * 3600),
        keep_pictures: Duration::from_secs(config.picture_keep_hours * 3600),
        rounds: Some(rounds),
        targets: config.targets.clone(),
        currency: config.currency,
        ..pages::Options::new(&home.join("html/static"), &config.pages_dir())
    };
    let opened = tokio::task::spawn_blocking(move || Renderer::open(options)).await;
    let renderer = match opened {
        Ok(Ok(renderer)) => renderer,
        Ok(Err(error)) => return tracing::error!(%error, "no pages are rendered"),
        Err(error) => return tracing::error!(%error, "no pages are rendered"),
    };
    let (ready, all_rendered) = oneshot::channel();
    let (mut first, redis) = (Some(ready), parts.redis.clone());
    running.spawn(Role::Ops, move |stop| {
        // Nobody waits for the pages after the first start.
        let ready = first.take().unwrap_or_else(|| oneshot::channel().0);
        renderer.clone().run(redis.clone(), ready, stop)
    });
    let (origin, redis, segments) = (
        config.pages_dir(),
        parts.redis.clone(),
        parts.segments.clone(),
    );
    running.spawn(Role::Ops, move |stop| {
        pages::left::run(origin.clone(), redis.clone(), segments.clone(), stop)
    });
    let (origin, redis) = (config.pages_dir(), parts.redis.clone());
    running.spawn(Role::Ops, move |stop| {
        pages::announcement::run(origin.clone(), redis.clone(), stop)
    });
    // A role that is up has its pages.
    if tokio::time::timeout(FIRST_PAGES, all_rendered)
        .await
        .is_err()
    {
        tracing::warn!("not all pages are rendered yet; the others follow in the background");
    }
}
