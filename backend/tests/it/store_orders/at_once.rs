//! Changes that several processes make at once, and records that are found by an index.

use seckill::store::round::{Product, Round};
use seckill::store::round_changes::{ChangeError, Step};
use seckill::store::{Actor, AuditQuery, Done, Store};
use std::time::Duration;
use tokio::task::JoinSet;

pub(super) fn round(id: &str) -> Round {
    Round {
        id: id.into(),
        name: id.into(),
        opens_ms: 1_000_000,
        ends_ms: 2_000_000,
        products: vec![Product {
            id: "153".into(),
            title: "Folding phone".into(),
            amount: 10,
            price_cents: 1,
            list_price_cents: 1,
            per_buyer: 1,
            segments: Vec::new(),
            text: String::new(),
            picture: String::new(),
            priced_ms: 0,
            picture_alt: Vec::new(),
        }],
    }
}

fn done(action: &'static str, target: &str) -> Done {
    Done {
        action,
        target: target.to_owned(),
        detail: serde_json::json!({}),
    }
}

/// How many of the changes were made, and what the others were refused for.
async fn tried(
    mut changes: JoinSet<Result<(), ChangeError>>,
    refusal: fn(&ChangeError) -> bool,
) -> usize {
    let mut made = 0;
    while let Some(outcome) = changes.join_next().await {
        match outcome.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert!(refusal(&error), "{error}"),
        }
    }
    made
}

pub(crate) async fn a_product_is_in_one_round_at_a_time_however_many_make_one(store: Store) {
    let who = Actor::at_console("li");
    let create = |ids: Vec<String>| {
        let mut creating = JoinSet::new();
        for id in ids {
            let (store, who) = (store.clone(), who.clone());
            creating.spawn(async move {
                let rounds = [(round(&id), None)];
                let done = |round: &Round| done("round.create", &round.id);
                store.create_rounds(&rounds, &who, done, 1).await
            });
        }
        creating
    };
    let others = create((0..8).map(|n| format!("r{n}")).collect());
    let overlap = |error: &ChangeError| matches!(error, ChangeError::Overlap(_));
    assert_eq!(tried(others, overlap).await, 1);

    for stored in store.rounds().await.unwrap() {
        let (id, version) = (&stored.round.id, stored.trail.version);
        store.delete_round(id, version, &who, 2).await.unwrap();
    }
    let same = create(vec!["same".into(); 8]);
    let exists = |error: &ChangeError| matches!(error, ChangeError::Exists(_));
    assert_eq!(tried(same, exists).await, 1);
}

pub(crate) async fn of_two_overlapping_rounds_one_is_approved(store: Store) {
    use seckill::store::import::Decision;
    let who = Actor::at_console("li");
    let rounds = [round("noon"), round("night")];
    let save = |_: Option<&_>, round: &Round| {
        Ok::<_, ChangeError>(Decision::Save {
            round: round.clone(),
            series: None,
        })
    };
    // Somebody with a shell may want an overlap.
    let imported = store.import_rounds(&rounds, |it| &it.id, save, true, (&who, 1));
    imported.await.unwrap();
    let mut approving = JoinSet::new();
    for stored in store.rounds().await.unwrap() {
        let (store, id, version) = (store.clone(), stored.round.id, stored.trail.version);
        let submitted = store.step_round(&id, version, Step::Submit, &who, 2).await;
        submitted.unwrap();
        approving.spawn(async move {
            let boss = Actor::at_console("wang");
            let seen = Some(version + 1);
            store.approve_round(&id, seen, &boss, 3).await.map(|_| ())
        });
    }
    let overlap = |error: &ChangeError| matches!(error, ChangeError::Overlap(_));
    assert_eq!(tried(approving, overlap).await, 1);
}

pub(crate) async fn what_was_done_is_found_by_what_it_was_done_to(store: Store) {
    let who = Actor::at_console("li");
    // So many that the databases look them up by the index.
    for n in 0..60_u64 {
        let done = done("round.edit", &format!("r{}", n % 20));
        let noted = store.note_audit(&who, &done, n).await.unwrap();
        assert_eq!(noted, n + 1);
    }
    for n in 0..20 {
        let query = AuditQuery {
            target: format!("r{n}"),
            limit: 100,
            ..AuditQuery::default()
        };
        assert_eq!(store.audit(&query).await.unwrap().len(), 3, "r{n}");
    }
}

pub(crate) async fn a_round_is_locked_by_one_at_a_time(store: Store) {
    let soon = Duration::from_millis(100);
    let first = store.lock_round("1", soon).await.unwrap().unwrap();
    assert!(store.lock_round("1", soon).await.unwrap().is_none());
    assert!(store.lock_round("2", soon).await.unwrap().is_some());
    assert!(store.renew(&first).await.unwrap());
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.lock_round("1", Duration::from_secs(60)).await }
    });
    store.unlock(&first).await.unwrap();
    let second = waiting.await.unwrap().unwrap().unwrap();
    assert!(!store.renew(&first).await.unwrap(), "it is another's");
    // Whoever lost it gives nothing back.
    store.unlock(&first).await.unwrap();
    assert!(store.renew(&second).await.unwrap());
}
