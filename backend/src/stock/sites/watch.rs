//! Reports to the other sites, asks them when this one runs short, finishes what was left,
//! and lets the edges know whether items may still come. Runs in the relay role; several may
//! run at a site: every step of a transfer may be repeated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seckill_core::ids::Item;
use seckill_core::sites::share::{self, Patience};
use seckill_core::sites::transfer::State;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::holdings::Holding;
use super::messages::{Ask, Gave, LostShare, REPORT, Report, TRANSFER};
use super::moves::MoveError;
use super::peer::{Peer, transfer_id};
use super::{MAY_COME, Sites, holdings, lease, locked};
use crate::now_ms;
use crate::stock::reopening::{self, Reopening};
use crate::store::site_transfers::SiteTransfer;
use crate::time::periodic::{self, Passes};

/// Pause between two readings of what this site has.
const PASS: Duration = Duration::from_millis(100);
/// A pass over many products takes its time: the pause is at least so many times as long.
const REST: u32 = 5;
/// Pause between two reports to a site.
const REPORT_EVERY: Duration = Duration::from_millis(150);
/// Pause before a site that is away is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How often it is looked for transfers that were left unfinished.
const FINISH_EVERY: Duration = Duration::from_secs(1);
/// How old such a transfer is at least, in ms.
const LEFT_MS: u64 = 2_000;
/// How often an announcement that items may come is repeated: it is forgotten after ten
/// minutes.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// Runs until `stop`.
pub async fn run(sites: Arc<Sites>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for at in 0..sites.peers.len() {
        tasks.spawn(follow(Arc::clone(&sites), at, stop.clone()));
    }
    tasks.spawn(finish(Arc::clone(&sites), stop.clone()));
    let mut passes = Passes::new(stop, "items wait to move between sites", RETRY);
    let mut watch = Watch::default();
    let mut remembers = false;
    while passes.go_on() {
        let began = Instant::now();
        let outcome = async {
            if !remembers {
                sites.remember().await?;
                remembers = true;
            }
            watch.pass(&sites).await
        };
        let outcome = outcome.await;
        passes
            .pause_after(outcome.map(|()| PASS.max(began.elapsed() * REST)))
            .await;
    }
    tasks.join_all().await;
}

/// Tells a site what this one has, again and again, and hears what it has.
async fn follow(sites: Arc<Sites>, at: usize, stop: CancellationToken) {
    let Some(peer) = sites.peers.get(at) else {
        return;
    };
    let mut away = false;
    while !stop.is_cancelled() {
        let asked = Instant::now();
        let pause = match exchange(&sites, peer, asked).await {
            Ok(()) => {
                if std::mem::take(&mut away) {
                    tracing::info!(site = peer.name(), "the site is heard again");
                }
                REPORT_EVERY
            }
            Err(why) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(
                        site = peer.name(),
                        why,
                        "a site is not heard; each sells what it holds"
                    );
                }
                RETRY
            }
        };
        periodic::sleep(&stop, pause).await;
    }
}

async fn exchange(sites: &Arc<Sites>, peer: &Peer, asked: Instant) -> Result<(), String> {
    let own = sites
        .report()
        .ok_or("this site's own stock cannot be read")?;
    let answer: Report = peer
        .ask(REPORT, &own)
        .await
        .map_err(|error| error.to_string())?;
    let heard = sites.hear(peer.name(), &answer, (asked, now_ms()), false);
    heard.await.map_err(|error| error.to_string())?;
    let reconciled = reconcile(sites, peer, &answer.lost).await;
    reconciled.map_err(|error| format!("what it took over is not off the sale yet: {error}"))?;
    // Only now: what was taken over is off the sale here.
    if peer.name() == sites.settings.home {
        let mut home_asked = locked(&sites.home_asked);
        *home_asked = (*home_asked).max(Some(asked));
    }
    Ok(())
}

/// Takes off the sale what another site took over while this one was lost.
async fn reconcile(sites: &Sites, peer: &Peer, lost: &[LostShare]) -> Result<(), MoveError> {
    let store = sites.mover.store.get().await?;
    for share in lost {
        let Some(item) = Item::new(&share.round, &share.product) else {
            continue;
        };
        let known = store.site_transfer(&share.id).await?;
        if known.is_some_and(|it| matches!(it.state, State::Given | State::Done)) {
            continue;
        }
        let transfer = SiteTransfer {
            id: share.id.clone(),
            peer: peer.name().to_owned(),
            item,
            comes: false,
            lost: true,
            wanted: share.items,
            items: 0,
            short: 0,
            state: State::Taking,
            updated_ms: 0,
        };
        let gave = sites.mover.give(&transfer).await?;
        let (item, home) = (&transfer.item, peer.name());
        match share.items - gave.min(share.items) {
            0 => {
                tracing::warn!(%item, home, gave, "this site was declared lost; what was taken over is off the sale");
            }
            short => {
                tracing::error!(%item, home, gave, short, "this site was declared lost, and had sold items that were taken over: so many are sold twice");
            }
        }
    }
    Ok(())
}

/// Carries on transfers that a crash or a site that was away left unfinished.
async fn finish(sites: Arc<Sites>, stop: CancellationToken) {
    let mut passes = Passes::new(stop, "transfers between sites wait to be finished", RETRY);
    let mut under_way = JoinSet::new();
    while passes.go_on() {
        while under_way.try_join_next().is_some() {}
        let outcome = async {
            let store = sites.mover.store.get().await?;
            let before_ms = now_ms().saturating_sub(LEFT_MS);
            for transfer in store.open_site_transfers(before_ms).await? {
                if locked(&sites.busy).insert(transfer.id.clone()) {
                    under_way.spawn(pursue(Arc::clone(&sites), transfer));
                }
            }
            Ok::<_, MoveError>(FINISH_EVERY)
        };
        passes.pause_after(outcome.await).await;
    }
}

/// Carries a transfer on until it is done, or nothing can be done for it at the moment. It
/// must be among those that are busy, and is taken out of them.
async fn pursue(sites: Arc<Sites>, transfer: SiteTransfer) {
    let id = transfer.id.clone();
    if let Err(error) = carry_on(&sites, &id).await {
        tracing::debug!(item = %transfer.item, id, error, "a transfer between sites waits");
    }
    locked(&sites.busy).remove(&id);
}

async fn carry_on(sites: &Sites, id: &str) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    loop {
        let now = sites
            .mover
            .carry_on(id)
            .await
            .map_err(|error| text(&error))?;
        let Some(transfer) = now.filter(|it| it.state == State::Asked) else {
            return Ok(());
        };
        let peer = sites
            .peer(&transfer.peer)
            .ok_or("its site is no peer any more")?;
        let ask = Ask {
            id: transfer.id,
            round: transfer.item.round().to_owned(),
            product: transfer.item.product().to_owned(),
            wanted: transfer.wanted,
        };
        let gave: Gave = peer
            .ask(TRANSFER, &ask)
            .await
            .map_err(|error| text(&error))?;
        let store = sites
            .mover
            .store
            .get()
            .await
            .map_err(|error| text(&error))?;
        let items = gave.items.min(ask.wanted);
        let granted = store.grant_site_transfer(id, items, now_ms()).await;
        granted.map_err(|error| text(&error))?;
        let item = &transfer.item;
        tracing::info!(%item, from = peer.name(), items, "items come from another site");
    }
}

/// What the passes remember.
#[derive(Debug, Default)]
struct Watch {
    /// Since when it is announced that items may come; `None` where it was withdrawn.
    announced: HashMap<Item, Option<Instant>>,
    patience: HashMap<Item, Patience>,
    since: Option<Instant>,
}

impl Watch {
    /// Reads what this site has, and does what follows from it.
    async fn pass(&mut self, sites: &Arc<Sites>) -> Result<(), MoveError> {
        let (redis, segments) = (&sites.mover.redis, &sites.mover.segments);
        let began = Instant::now();
        let own = Arc::new(holdings::read(redis, segments).await?);
        *locked(&sites.holdings) = Some((began, Arc::clone(&own)));
        if !sites.settings.is_home() {
            lease::write(redis, self.left(sites)).await?;
        }
        self.announced.retain(|item, _| own.contains_key(item));
        self.patience.retain(|item, _| own.contains_key(item));
        self.announce(sites, &own).await?;
        for (item, holding) in own.iter().filter(|(_, holding)| holding.is_open) {
            self.ask(sites, item, holding).await?;
        }
        Ok(())
    }

    /// What is left of the lease that the home's last answer gave.
    fn left(&self, sites: &Sites) -> Duration {
        let lost_after_ms = u64::try_from(sites.settings.lost_after.as_millis());
        let whole = seckill_core::sites::lease::sells_for_ms(lost_after_ms.unwrap_or(u64::MAX));
        let asked = *locked(&sites.home_asked);
        asked.map_or(Duration::ZERO, |asked| {
            Duration::from_millis(whole).saturating_sub(asked.elapsed())
        })
    }

    /// While items may come from another site, no edge says "sold out".
    async fn announce(
        &mut self,
        sites: &Sites,
        own: &HashMap<Item, Holding>,
    ) -> Result<(), MoveError> {
        let (mut begin, mut end): (Vec<Reopening>, Vec<Reopening>) = Default::default();
        for item in own.keys() {
            let stands = self.announced.get(item).copied();
            let change = (item.clone(), vec![MAY_COME.to_owned()]);
            let may_come = sites.may_come(item) || locked(&sites.asking).contains(item);
            match (may_come, stands) {
                (true, Some(Some(since))) if since.elapsed() < ANNOUNCE_EVERY => {}
                (true, _) => begin.push(change),
                (false, Some(None)) => {}
                (false, _) => end.push(change),
            }
        }
        reopening::announce(&sites.mover.redis, &begin).await?;
        reopening::withdraw(&sites.mover.redis, &end).await?;
        let now = Instant::now();
        self.announced
            .extend(begin.into_iter().map(|(item, _)| (item, Some(now))));
        self.announced
            .extend(end.into_iter().map(|(item, _)| (item, None)));
        Ok(())
    }

    /// Asks the richest site if this one is short.
    async fn ask(
        &mut self,
        sites: &Arc<Sites>,
        item: &Item,
        holding: &Holding,
    ) -> Result<(), MoveError> {
        let others = sites.free_elsewhere(item);
        let richest = others.iter().map(|(name, free)| (name.as_str(), *free));
        let Some((peer, wanted)) = share::ask(holding.free, richest.clone()) else {
            return Ok(());
        };
        let free = richest.map(|(_, free)| free).max().unwrap_or(0);
        let since = *self.since.get_or_insert_with(Instant::now);
        let now = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let patience = self.patience.entry(item.clone()).or_default();
        if !patience.may_ask(now, holding.sold, free) || locked(&sites.asking).contains(item) {
            return Ok(());
        }
        let Ok(id) = transfer_id(&sites.settings.name) else {
            return Ok(());
        };
        patience.asks(now, holding.sold);
        let transfer = SiteTransfer {
            id,
            peer: peer.to_owned(),
            item: item.clone(),
            comes: true,
            lost: false,
            wanted,
            items: 0,
            short: 0,
            state: State::Asked,
            updated_ms: 0,
        };
        let store = sites.mover.store.get().await?;
        locked(&sites.asking).insert(item.clone());
        locked(&sites.busy).insert(transfer.id.clone());
        let sites = Arc::clone(sites);
        let store = store.clone();
        tokio::spawn(async move {
            // On record before it is asked for: whatever happens, it is asked for again.
            match store.begin_site_transfer(&transfer, None, now_ms()).await {
                Ok(_) => pursue(Arc::clone(&sites), transfer.clone()).await,
                Err(error) => {
                    tracing::debug!(%error, "no items are asked for at the moment");
                    locked(&sites.busy).remove(&transfer.id);
                }
            }
            locked(&sites.asking).remove(&transfer.item);
        });
        Ok(())
    }
}
