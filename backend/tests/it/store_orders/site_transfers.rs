//! Transfers between sites: the amount that is set aside changes once.

use seckill::sale::file::{self, Form};
use seckill::sale::import::import;
use seckill::store::site_transfers::SiteTransfer;
use seckill::store::{Actor, Store};
use seckill_core::ids::Item;
use seckill_core::sites::transfer::State;

use crate::common;

fn transfer(id: &str, comes: bool, state: State) -> SiteTransfer {
    SiteTransfer {
        id: id.to_owned(),
        peer: "west".to_owned(),
        item: Item::new("1", "153").unwrap(),
        comes,
        lost: !comes,
        wanted: 4,
        items: 0,
        short: 0,
        state,
        updated_ms: 0,
    }
}

async fn set_aside(store: &Store) -> (u64, usize) {
    let item = Item::new("1", "153").unwrap();
    let (amount, between) = store.share_and_between(&item).await.unwrap().unwrap();
    (amount, between.len())
}

/// Ten items are set aside here.
async fn approved(store: &Store) {
    let text = "[[round]]\nid = \"1\"\nname = \"Noon\"\nstarts = \"+1h\"\nends = \"+10m\"\n\
                [[round.product]]\nid = \"153\"\ntitle = \"Phone\"\namount = 10\nprice_cents = 1\n";
    let rounds = file::parse(text, Form::Toml, common::now_ms()).unwrap();
    let by = Actor::system();
    import(store, &rounds, &by, 5).await.unwrap();
    store.approve_round("1", None, &by, 6).await.unwrap();
    assert_eq!(set_aside(store).await, (10, 0));
}

pub async fn what_came_is_given_away_only_once_it_is_on_record(store: Store) {
    approved(&store).await;
    let asks = transfer("t1", true, State::Asked);
    store.begin_site_transfer(&asks, None, 7).await.unwrap();
    store.grant_site_transfer("t1", 4, 8).await.unwrap();
    let granted = store.site_transfer("t1").await.unwrap().unwrap();
    // The four are on sale, and whoever put them there died before that was on record.
    let gives = transfer("t2", false, State::Taking);
    store.begin_site_transfer(&gives, None, 9).await.unwrap();
    let too_early = store.give_site_transfer(&gives, (12, 0), 10).await;
    assert!(too_early.is_err());
    assert_eq!(set_aside(&store).await, (10, 2));
    store.arrive_site_transfer(&granted, 11).await.unwrap();
    store.give_site_transfer(&gives, (12, 0), 12).await.unwrap();
    assert_eq!(set_aside(&store).await, (2, 0));
}

pub async fn a_transfer_between_sites_changes_the_amount_once(store: Store) {
    approved(&store).await;
    let by = Actor::system();
    let asks = transfer("t1", true, State::Asked);
    let begun = store.begin_site_transfer(&asks, None, 7).await.unwrap();
    let again = store
        .begin_site_transfer(&asks, Some(&by), 7)
        .await
        .unwrap();
    assert_eq!((begun, again), (true, false));
    assert_eq!(store.open_site_transfers(6).await.unwrap().len(), 0);
    assert_eq!(store.open_site_transfers(7).await.unwrap().len(), 1);
    for items in [4, 9] {
        store.grant_site_transfer("t1", items, 8).await.unwrap();
    }
    let granted = store.site_transfer("t1").await.unwrap().unwrap();
    assert_eq!((granted.items, granted.state), (4, State::Granted));
    assert_eq!(set_aside(&store).await, (10, 1));
    for _ in 0..2 {
        store.arrive_site_transfer(&granted, 9).await.unwrap();
        assert_eq!(set_aside(&store).await, (14, 0));
    }

    let gives = transfer("t2", false, State::Taking);
    let lost = store.begin_site_transfer(&gives, Some(&by), 10).await;
    assert!(lost.unwrap());
    for given in [(3, 1), (2, 2)] {
        store.give_site_transfer(&gives, given, 11).await.unwrap();
        assert_eq!(set_aside(&store).await, (11, 0));
    }
    for id in ["t1", "t2"] {
        store.finish_site_transfer(id, 12).await.unwrap();
    }
    let item = Item::new("1", "153").unwrap();
    let all = store.site_transfers(&item).await.unwrap();
    let states: Vec<_> = all
        .iter()
        .map(|it| (it.id.as_str(), it.items, it.short, it.state))
        .collect();
    assert_eq!(
        states,
        [("t1", 4, 0, State::Done), ("t2", 3, 1, State::Done)]
    );
    assert_eq!(store.open_site_transfers(99).await.unwrap(), []);
    assert_eq!(store.lost_site_transfers("west").await.unwrap().len(), 1);
    assert_eq!(store.lost_site_transfers("north").await.unwrap(), []);
}
