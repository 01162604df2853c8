//! Texts and records on which databases differ, unless they are told.

use seckill::store::Store;
use seckill::store::accounts::Role;
use seckill::store::orders::Placed;
use seckill_core::ids;
use seckill_core::orders::money::Currency;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::{self, Notice, Reported};
use tokio::task::JoinSet;

use super::{notice, order, place};

pub(crate) async fn texts_are_equal_and_in_order_by_their_bytes(store: Store) {
    let names = ["B", "a", "A", "é", "e\u{301}", "b"];
    for name in names {
        let added = store
            .add_account(name, Role::Operator, "hash", false, 1)
            .await;
        assert!(added.unwrap(), "{name:?} is nobody else's");
    }
    let mut in_order = names.map(str::to_owned);
    in_order.sort_unstable();
    let accounts = store.accounts().await.unwrap();
    let found: Vec<String> = accounts.into_iter().map(|it| it.name).collect();
    assert_eq!(found, in_order);
}

pub(crate) async fn of_many_who_keep_one_record_at_once_none_fails(store: Store) {
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..10 {
                let sku = format!("{writer}-{n}");
                store.choose_item("153", &sku, n).await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let sku = store.sku_of("153").await.unwrap().unwrap();
    assert!(sku.ends_with("-9"), "the last one of somebody: {sku}");
}

pub(crate) async fn a_text_with_a_zero_byte_is_no_reason_to_refuse_money(store: Store) {
    let notice = Notice {
        order: "no\0order".into(),
        ..notice("pay\0ment", 1, 100, Reported::Paid)
    };
    for _ in 0..2 {
        let noted = store.note_payment(&notice, Currency::CNY, 6).await.unwrap();
        assert_eq!(noted.payment.state, payment::State::RefundDue);
    }
    assert_eq!(store.refunds_due().await.unwrap().len(), 1);
}

pub(crate) async fn the_longest_name_of_a_buyer_is_kept_whole(store: Store) {
    let name = "京".repeat(85);
    let user = ids::user::write(name.as_bytes()).unwrap().into_owned();
    let mut twin = user.clone();
    twin.replace_range(twin.len() - 2.., "AD");
    for (id, name) in [(1, &user), (2, &twin)] {
        let placed = place(&store, order(id, name, "r1")).await;
        assert_eq!(placed, Placed::New(OrderId(id)));
    }
    for name in [&user, &twin] {
        let orders = store.orders_of(name, 0, 10).await.unwrap();
        assert_eq!(orders.len(), 1);
        assert_eq!(&orders[0].user, name);
    }
}
