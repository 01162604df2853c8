//! In whose hands an account may be, by the audit log; and which rounds are to retire.

use seckill::store::hands::Hands;
use seckill::store::retired::Over;
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill::store::{Actor, Done, Store, Via};

use super::at_once::round;

async fn note(store: &Store, by: &Actor, action: &'static str, target: &str, at_ms: u64) -> u64 {
    let done = Done {
        action,
        target: target.to_owned(),
        detail: serde_json::json!({}),
    };
    store.note_audit(by, &done, at_ms).await.unwrap()
}

async fn hands(store: &Store, of: Hands, since_ms: u64) -> Vec<String> {
    let hands = store.hands(of, since_ms).await.unwrap();
    hands.into_keys().collect()
}

pub(crate) async fn who_gave_an_account_is_followed_back_in_time_up_to_a_command(store: Store) {
    let [wang, bea, cyd] = ["wang", "bea", "cyd"].map(Actor::at_console);
    let shell = Actor {
        name: "root".to_owned(),
        via: Via::Command,
    };
    let of = |name: &str, before| Hands::from([(name.to_owned(), before)]);
    note(&store, &wang, "account.create", "bea", 10).await;
    note(&store, &bea, "account.create", "cyd", 20).await;
    note(&store, &cyd, "account.password", "cyd", 21).await;
    let edited = note(&store, &cyd, "round.edit", "noon", 22).await;
    assert_eq!(
        hands(&store, of("cyd", u64::MAX), 10).await,
        ["bea", "cyd", "wang"]
    );
    assert_eq!(hands(&store, of("cyd", u64::MAX), 11).await, ["bea", "cyd"]);
    // What comes later does not lead back; and nobody turns in circles.
    note(&store, &cyd, "account.reset", "wang", 30).await;
    note(&store, &cyd, "account.role", "bea", 31).await;
    assert_eq!(
        hands(&store, of("cyd", u64::MAX), 1).await,
        ["bea", "cyd", "wang"]
    );
    assert_eq!(hands(&store, of("wang", edited), 1).await, ["wang"]);
    assert_eq!(
        hands(&store, of("wang", u64::MAX), 1).await,
        ["bea", "cyd", "wang"]
    );
    // Whoever has a shell gives an account back to its owner.
    note(&store, &shell, "account.password", "cyd", 40).await;
    assert_eq!(hands(&store, of("cyd", u64::MAX), 1).await, ["cyd"]);
    assert_eq!(
        hands(&store, of("cyd", edited), 1).await,
        ["bea", "cyd", "wang"]
    );

    let workers = store.workers("noon").await.unwrap();
    assert_eq!(workers, Hands::from([("cyd".to_owned(), edited)]));
    assert!(!store.has_worked_on("noon", "bea").await.unwrap());
    note(&store, &bea, "round.delete", "noon", 50).await;
    assert!(!store.has_worked_on("noon", "cyd").await.unwrap());
}

pub(crate) async fn rounds_retire_by_their_end_or_their_withdrawal(store: Store) {
    let who = Actor::at_console("li");
    for (id, ends_ms) in [("late", 9_000_000), ("noon", 2_000_000), ("off", 9_000_000)] {
        let mut round = round(id);
        (round.ends_ms, round.products[0].id) = (ends_ms, format!("of_{id}"));
        let done = |_: &_| Done {
            action: "round.create",
            target: id.to_owned(),
            detail: serde_json::json!({}),
        };
        let made = store.create_rounds(&[(round, None)], &who, done, 1).await;
        made.unwrap();
        store.approve_round(id, None, &who, 2).await.unwrap();
        store.mark_published(id, 3).await.unwrap();
    }
    let order = StopOrder {
        step: StopStep::Withdraw,
        round: "off",
        product: None,
        cancel: Cancelling::None,
        reason: "",
    };
    store.switch(&order, &who, 500).await.unwrap();
    let over = |round: &str, ends_ms| Over {
        round: round.to_owned(),
        ends_ms,
    };
    let (first, second) = (over("off", 500), over("noon", 2_000_000));
    let due = store.rounds_to_retire(3_000_000, &Over::default(), 9).await;
    assert_eq!(due.unwrap(), [first.clone(), second.clone()]);
    let behind = store.rounds_to_retire(3_000_000, &first, 9).await.unwrap();
    assert_eq!(behind, [second]);
}
