//! The demo sale, and rounds that an earlier run approved.

use std::path::Path;

use super::UpError;
use super::logins::{self, Logins};
use crate::config::Config;
use crate::now_ms;
use crate::pages::picture;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::approve::Approver;
use crate::sale::file;
use crate::sale::file::FileRound;
use crate::sale::import;
use crate::sale::limits::picture_count;
use crate::store::round::{RoundState, StoredRound};
use crate::store::{Actor, Store};

/// Imports and approves the demo sale if `demo`, and completes approvals that
/// were interrupted.
pub(super) async fn prepare(config: &Config, demo: bool) -> Result<Logins, UpError> {
    let sale = |error: &dyn std::fmt::Display| UpError::Sale(error.to_string());
    let store = Store::open_sharded(&config.database_url, &config.order_databases)
        .await
        .map_err(|error| sale(&error))?;
    let redis = RedisLink::connect(&config.redis_url)
        .await
        .map_err(|error| sale(&error))?;
    let segments = Segments::open(&redis, &config.redis_segments).map_err(|error| sale(&error))?;
    let inventory = crate::roles::inventory(config).map_err(|error| sale(&error))?;
    let approver = Approver {
        store: &store,
        redis: &redis,
        segments: &segments,
        zone: &config.time_zone,
        inventory: inventory.as_ref(),
        site: config.site.as_ref(),
    };
    let prepared = async {
        restore(&approver).await?;
        if demo {
            sell_demo(config, &approver).await?;
        }
        logins::prepare(&store, demo).await
    };
    let prepared = prepared.await;
    store.close().await;
    prepared
}

async fn restore(approver: &Approver<'_>) -> Result<(), UpError> {
    let stored = approver
        .store
        .rounds()
        .await
        .map_err(|error| UpError::Sale(error.to_string()))?;
    let now_ms = now_ms();
    for stored in stored.iter().filter(|stored| stored.is_live(now_ms)) {
        let id = &stored.round.id;
        if stored.published_ms.is_none() {
            // One round that cannot be sold must not keep the others from it.
            if let Err(error) = approver.approve(id, &Actor::system(), now_ms).await {
                tracing::error!(round = id, %error, "an approved round is not on sale");
            }
        }
    }
    Ok(())
}

async fn sell_demo(config: &Config, approver: &Approver<'_>) -> Result<(), UpError> {
    let sale = |error: &dyn std::fmt::Display| UpError::Sale(error.to_string());
    let home = config.home.as_deref().ok_or_else(|| UpError::Missing {
        what: "the folder with examples/sale.toml",
        searched: "above the executable and above this folder".to_owned(),
        cure: "name it with SECKILL_HOME",
    })?;
    let now_ms = now_ms();
    let path = home.join("examples/sale.toml");
    let mut rounds =
        file::read_at(config.site.as_ref(), &path, now_ms).map_err(|error| sale(&error))?;
    let stored = approver
        .store
        .rounds()
        .await
        .map_err(|error| sale(&error))?;
    // A demo that runs is left as it is: its stock, its buyers, its times.
    rounds.retain_mut(|round| !take_free_id(round, &stored, now_ms));
    let pictures = home.join("examples/pictures");
    let origin = config.pages_dir();
    for product in rounds.iter_mut().flat_map(|it| &mut it.round.products) {
        let named = picture_count(&product.picture);
        product.picture = upload(&pictures, &origin, &product.picture).await;
        // Without one of its pictures, the texts would stand beside others.
        if picture_count(&product.picture) != named {
            product.picture_alt.clear();
        }
    }
    import::import(approver.store, &rounds, &Actor::system(), now_ms)
        .await
        .map_err(|error| sale(&error))?;
    for round in &rounds {
        approver
            .approve(&round.round.id, &Actor::system(), now_ms)
            .await
            .map_err(|error| sale(&error))?;
    }
    Ok(())
}

/// Stores the pictures that a demo product names by their files, and names them as an
/// upload would. What cannot be shown is left out: the demo sells without it.
async fn upload(folder: &Path, origin: &Path, names: &str) -> String {
    let mut stored = Vec::new();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let (file, origin) = (folder.join(name), origin.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&file)?;
            picture::store(&origin, &bytes, None)
        });
        match made.await {
            Ok(Ok(picture)) => stored.push(picture.to_string()),
            Ok(Err(error)) => tracing::warn!(name, %error, "the demo goes without this picture"),
            Err(error) => tracing::warn!(name, %error, "the demo goes without this picture"),
        }
    }
    stored.join(",")
}

/// Gives the round the first id that no round holds that is over or withdrawn: a number
/// counts up, anything else gets a number. `true` if a round of that series still sells.
fn take_free_id(round: &mut FileRound, stored: &[StoredRound], now_ms: u64) -> bool {
    let first = round.round.id.clone();
    let mut id = first.clone();
    for next in 2_u64.. {
        match stored.iter().find(|stored| stored.round.id == id) {
            Some(stored) if stored.is_live(now_ms) => return true,
            Some(stored) if stored.state == RoundState::Approved => {}
            _ => break,
        }
        id = match first.parse::<u64>() {
            Ok(number) => (number + next - 1).to_string(),
            Err(_) => format!("{first}_{next}"),
        };
    }
    round.round.id = id;
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::file::{Form, parse};
    use crate::store::stop::{Cancelling, Stop, StopKind, Stops};

    /// A round of one product that ends then.
    fn round(id: &str, ends_ms: u64) -> FileRound {
        let text = format!(
            "[[round]]\nid = \"{id}\"\nname = \"Noon\"\nstarts = \"+10s\"\nends = \"+10m\"\n\
             [[round.product]]\nid = \"153\"\ntitle = \"Phone\"\namount = 1\nprice_cents = 1\n"
        );
        let mut round = parse(&text, Form::Toml, 1).unwrap().remove(0);
        (round.round.opens_ms, round.round.ends_ms) = (1, ends_ms);
        round
    }

    fn stored(id: &str, ends_ms: u64, state: RoundState) -> StoredRound {
        StoredRound {
            round: round(id, ends_ms).round,
            state,
            trail: Default::default(),
            published_ms: None,
            frozen: Default::default(),
            stops: Default::default(),
        }
    }

    /// The id under which the demo round "1" is sold at 100, given what is
    /// stored; `None` if a stored one is kept.
    fn id_beside(stored: &[StoredRound]) -> Option<String> {
        let mut file = round("1", 500);
        (!take_free_id(&mut file, stored, 100)).then_some(file.round.id)
    }

    #[test]
    fn a_demo_that_runs_is_kept_and_one_that_ended_gets_a_successor() {
        use RoundState::{Approved, Draft};
        let beside = |all: &[(&str, u64, RoundState)]| {
            let all = all
                .iter()
                .map(|(id, ends_ms, state)| stored(id, *ends_ms, *state));
            id_beside(&all.collect::<Vec<_>>())
        };
        assert_eq!(beside(&[]).as_deref(), Some("1"));
        assert_eq!(beside(&[("1", 200, Approved)]), None);
        assert_eq!(beside(&[("1", 100, Approved)]).as_deref(), Some("2"));
        assert_eq!(beside(&[("1", 50, Approved), ("2", 200, Approved)]), None);
        assert_eq!(
            beside(&[("1", 50, Approved), ("2", 60, Approved)]).as_deref(),
            Some("3")
        );
        assert_eq!(
            beside(&[("1", 200, Draft)]).as_deref(),
            Some("1"),
            "drafts are replaced"
        );
    }

    #[test]
    fn a_demo_that_was_withdrawn_gets_a_successor_and_a_paused_one_is_kept() {
        let stopped = |kind| {
            let mut stored = stored("1", 200, RoundState::Approved);
            let stop = Stop {
                kind,
                at_ms: 90,
                cancel: Cancelling::None,
            };
            stored.stops = Stops {
                round: Some(stop),
                ..Stops::default()
            };
            id_beside(&[stored])
        };
        assert_eq!(stopped(StopKind::Withdrawn).as_deref(), Some("2"));
        assert_eq!(stopped(StopKind::Paused), None);
    }
}
