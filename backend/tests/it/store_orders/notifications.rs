//! Notifications are written in the transaction that changes an order.

use seckill::store::Store;
use seckill::store::notifications::SendOutcome;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::notification::Channel;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::{Notice, ProviderName, Reported};
use seckill_core::orders::purchase::Reason;

use super::{order, place};

pub(crate) async fn every_change_of_an_order_has_one_notification_for_each_channel(store: Store) {
    let store = store.notifying(&Channel::ALL);
    for (id, user) in [(1, "li"), (2, "wang"), (3, "zhao")] {
        place(&store, order(id, user, "r")).await;
    }
    // Redelivered, beside one that is new.
    let again = [order(11, "li", "r"), order(4, "qian", "r")];
    store.place_batch(&again, 6).await.unwrap();
    let failed = [order(5, "sun", "r")];
    for _ in 0..2 {
        store.fail_batch(&failed, Reason::Backlog, 7).await.unwrap();
    }
    let paid = Notice {
        provider: ProviderName::Signed,
        payment: "p".to_owned(),
        order: "1".to_owned(),
        amount: Money::new(199_800, Currency::CNY),
        reported: Reported::Paid,
    };
    let twice = Notice {
        payment: "q".to_owned(),
        ..paid.clone()
    };
    for notice in [&paid, &twice, &paid, &twice] {
        store.note_payment(notice, Currency::CNY, 8).await.unwrap();
    }
    for _ in 0..2 {
        let cancelled = store.cancel("wang", OrderId(2), Reason::Cancelled, 9);
        cancelled.await.unwrap();
        store.expire_overdue(10, 1_000).await.unwrap();
    }

    let expected = [
        (1, "ordered", ""),
        (1, "paid", ""),
        (1, "refund_due", "q"),
        (2, "cancelled", ""),
        (2, "ordered", ""),
        (3, "cancelled", ""),
        (3, "ordered", ""),
        (4, "cancelled", ""),
        (4, "ordered", ""),
        (5, "failed", ""),
    ];
    for channel in Channel::ALL {
        let taken = store
            .claim_notifications(channel, 100, 2_000, 9_000)
            .await
            .unwrap();
        let mut kinds: Vec<_> = taken
            .iter()
            .map(|it| {
                (
                    it.key.order.0,
                    it.key.kind.as_str(),
                    it.key.payment.as_str(),
                )
            })
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, expected, "{}", channel.as_str());
        let sent: Vec<_> = taken
            .into_iter()
            .map(|it| (it, SendOutcome::Sent))
            .collect();
        store.record_outcomes(&sent, 3_000).await.unwrap();
    }
    assert_eq!(
        store.count_notifications().await.unwrap(),
        Default::default()
    );
}
