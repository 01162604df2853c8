//! The shop's own inventory: held at the approval, returned after the end, compared. The
//! inventory is an HTTP server that verifies signatures and can be told to misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use seckill::config::RefundStock;
use seckill::redis::segments::Segments;
use seckill::sale::approve::{ApproveError, Approver};
use seckill::sale::file::{Form, parse};
use seckill::sale::import;
use seckill::sale::inventory::holds::{Sweep, compare, hold_round, sweep_once};
use seckill::sale::inventory::{
    HoldError, HttpInventory, Inventory as _, InventoryError, product_id,
};
use seckill::store::holds::HoldState;
use seckill::store::orders::NewOrder;
use seckill::store::round::{Round, RoundState};
use seckill::store::stop::Cancelling;
use seckill::store::stops::{StopOrder, StopStep};
use seckill::store::{Actor, Store};
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common::{TestRedis, now_ms, payment_ring};

/// How the inventory answers the next call that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mood {
    #[default]
    Right,
    /// It holds half of the amount.
    Half,
    /// It holds the amount twice.
    Twice,
    /// It holds the amount, and its reply is lost.
    Mute,
    /// It has not enough.
    Refuses,
}

#[derive(Debug, Default)]
struct Stock {
    mood: Mood,
    /// Items that can be held.
    available: u64,
    /// By name: amount, sold and returned once settled.
    holds: BTreeMap<String, (u64, Option<(u64, u64)>)>,
}

impl Stock {
    fn held(&self) -> u64 {
        let open = self.holds.values().filter(|(_, settled)| settled.is_none());
        open.map(|(amount, _)| amount).sum()
    }
}

type Shared = Arc<Mutex<Stock>>;

async fn serve(
    State(stock): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path_and_query().unwrap().as_str();
    let signed = if body.is_empty() {
        path.as_bytes()
    } else {
        &body
    };
    let signature = headers["x-seckill-signature"].to_str().unwrap();
    payment::verify(&payment_ring(), signature, signed, now_ms()).unwrap();
    let mut stock = stock.lock().unwrap();
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    let given: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (method, parts.as_slice()) {
        (Method::GET, ["items"]) => {
            let item = item(stock.available);
            json!({ "items": [item] }).to_string().into_response()
        }
        (Method::GET, ["items", "red%2FXL"]) => item(stock.available).to_string().into_response(),
        (Method::PUT, ["holds", id]) => {
            let asked = given["amount"].as_u64().unwrap();
            let mood = stock.mood;
            let amount = match mood {
                Mood::Half => asked / 2,
                Mood::Twice => asked * 2,
                _ => asked,
            };
            if mood == Mood::Refuses {
                return (StatusCode::CONFLICT, r#"{"code":"insufficient"}"#).into_response();
            }
            if !stock.holds.contains_key(*id) {
                stock.available -= amount;
                stock.holds.insert((*id).to_owned(), (amount, None));
            }
            if mood == Mood::Mute {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            reply(stock.holds[*id])
        }
        (Method::POST, ["holds", id, "settle"]) => {
            let Some(hold) = stock.holds.get(*id).copied() else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let number = |key: &str| given[key].as_u64().unwrap();
            if hold.1.is_none() {
                stock.available += number("returned");
                let settled = Some((number("sold"), number("returned")));
                stock.holds.insert((*id).to_owned(), (hold.0, settled));
            }
            reply(stock.holds[*id])
        }
        (Method::GET, ["holds", id]) => match stock.holds.get(*id) {
            Some(hold) => reply(*hold),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn item(available: u64) -> Value {
    json!({ "sku": "red/XL", "title": "Shirt", "price_cents": 9_900, "available": available })
}

fn reply((amount, settled): (u64, Option<(u64, u64)>)) -> Response {
    let (sold, returned) = settled.unwrap_or_default();
    json!({ "amount": amount, "settled": settled.is_some(), "sold": sold, "returned": returned })
        .to_string()
        .into_response()
}

/// A shop with an inventory, and a round of two products, of which one is held there.
struct Shop {
    store: Store,
    inventory: HttpInventory,
    stock: Shared,
    round: Round,
    _folder: TempDir,
}

impl Shop {
    async fn open() -> Self {
        let stock: Shared = Arc::new(Mutex::new(Stock {
            available: 1_000,
            ..Stock::default()
        }));
        let app = Router::new().fallback(serve).with_state(stock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let folder = TempDir::new().unwrap();
        let database = crate::common::database::place(folder.path()).await;
        let store = Store::open(&database).await.unwrap();
        let sku = "red/XL";
        let text = format!(
            "[[round]]\nid=\"7\"\nname=\"Noon\"\nstarts=\"+1h\"\nends=\"+1h\"\n\
             [[round.product]]\nid=\"{}\"\ntitle=\"Shirt\"\namount=100\nprice_cents=1\nlist_price_cents=1\n\
             [[round.product]]\nid=\"other\"\ntitle=\"Cup\"\namount=5\nprice_cents=1\nlist_price_cents=1\n",
            product_id(sku)
        );
        let rounds = parse(&text, Form::Toml, now_ms()).unwrap();
        import::import(&store, &rounds, &Actor::on_the_box(), now_ms())
            .await
            .unwrap();
        store
            .choose_item(&product_id(sku), sku, now_ms())
            .await
            .unwrap();
        Self {
            round: store.round("7").await.unwrap().unwrap().round,
            inventory: HttpInventory::new(&url, payment_ring()).unwrap(),
            store,
            stock,
            _folder: folder,
        }
    }

    fn mood(&self, mood: Mood) {
        self.stock.lock().unwrap().mood = mood;
    }

    /// What can be held, and what is.
    fn amounts(&self) -> (u64, u64) {
        let stock = self.stock.lock().unwrap();
        (stock.available, stock.held())
    }

    async fn hold(&self) -> Result<(), HoldError> {
        hold_round(&self.store, &self.inventory, &self.round).await
    }

    async fn approve(&self, redis: &TestRedis, now_ms: u64) -> Result<(), ApproveError> {
        let link = redis.link().await;
        let approver = Approver {
            store: &self.store,
            redis: &link,
            segments: &Segments::on(link.clone()),
            zone: &TimeZone::UTC,
            inventory: Some(&self.inventory),
            site: None,
        };
        let approved = approver.approve("7", &Actor::on_the_box(), now_ms).await;
        approved.map(|_| ())
    }

    async fn sweep(&self, now_ms: u64) -> Result<usize, HoldError> {
        let sweep = Sweep {
            after_end_ms: 1_000,
            refund_stock: RefundStock::Keep,
        };
        sweep_once(&self.store, &self.inventory, sweep, now_ms).await
    }

    async fn state(&self) -> HoldState {
        self.store.holds().await.unwrap()[0].state
    }
}

#[tokio::test]
async fn items_are_held_once_at_the_approval_and_the_unsold_are_returned_after_the_end() {
    let shop = Shop::open().await;
    let redis = TestRedis::start().await;
    for _ in 0..2 {
        shop.approve(&redis, now_ms()).await.unwrap();
        assert_eq!(shop.amounts(), (900, 100));
    }
    assert!(
        compare(&shop.store, &shop.inventory)
            .await
            .unwrap()
            .is_empty()
    );

    // Thirty are sold; one more order is not decided yet.
    let product = product_id("red/XL");
    let order = |number: u64, quantity: u32| NewOrder {
        id: OrderId(number),
        purchase: OrderMessage {
            v: 1,
            request: "r".to_owned(),
            round: "7".to_owned(),
            product: product.clone(),
            segment: 1,
            user: format!("u{number}"),
            quantity,
            price_cents: 0,
            permit: String::new(),
            at_ms: 1,
            order: None,
            traceparent: None,
            relayed_us: None,
        },
        pay_by_ms: 100,
    };
    shop.store
        .place_batch(&[order(1, 30), order(2, 1)], 50)
        .await
        .unwrap();
    let paid = payment::Notice {
        provider: payment::ProviderName::Signed,
        payment: "p".to_owned(),
        order: "1".to_owned(),
        amount: seckill_core::orders::money::Money::new(
            0,
            seckill_core::orders::money::Currency::CNY,
        ),
        reported: payment::Reported::Paid,
    };
    let currency = paid.amount.currency;
    let noted = shop.store.note_payment(&paid, currency, 60).await.unwrap();
    shop.store
        .stock_followed(&[&noted.order.unwrap()], None)
        .await
        .unwrap();
    let ends_ms = shop.round.ends_ms;
    assert_eq!(
        shop.sweep(ends_ms + 999).await.unwrap(),
        0,
        "orders may still change"
    );
    assert_eq!(
        shop.sweep(ends_ms + 1_000).await.unwrap(),
        0,
        "one of them is not decided"
    );
    shop.store.expire_overdue(10, ends_ms).await.unwrap();
    for order in shop.store.stock_due(10, u64::MAX).await.unwrap() {
        shop.store.stock_followed(&[&order], None).await.unwrap();
    }
    assert_eq!(shop.sweep(ends_ms + 1_000).await.unwrap(), 1);
    assert_eq!(shop.amounts(), (970, 0));
    assert_eq!(
        shop.sweep(ends_ms + 1_000).await.unwrap(),
        0,
        "returned once"
    );
    let hold = &shop.store.holds().await.unwrap()[0];
    assert_eq!(
        (hold.state, hold.sold, hold.returned),
        (HoldState::Settled, 30, 70)
    );
    assert!(
        compare(&shop.store, &shop.inventory)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_withdrawn_is_returned_once_redis_knows_and_orders_are_in() {
    let shop = Shop::open().await;
    let at_ms = now_ms();
    let redis = TestRedis::start().await;
    shop.approve(&redis, at_ms).await.unwrap();
    let product = product_id("red/XL");
    for step in [StopStep::Pause, StopStep::Withdraw] {
        let order = StopOrder {
            step,
            round: "7",
            product: Some(&product),
            cancel: Cancelling::None,
            reason: "",
        };
        let by = Actor::on_the_box();
        assert!(shop.store.switch(&order, &by, at_ms).await.unwrap());
        // Redis is away, and sells on from what it knows.
        let known_ms = at_ms + 5_000;
        assert_eq!(shop.sweep(known_ms).await.unwrap(), 0);
        shop.store
            .stops_followed("7", u64::from(u32::MAX))
            .await
            .unwrap();
        assert_eq!(shop.sweep(known_ms + 999).await.unwrap(), 0);
        let settled = shop.sweep(known_ms + 1_000).await.unwrap();
        let is_for_good = step == StopStep::Withdraw;
        assert_eq!(settled, usize::from(is_for_good), "{}", step.as_str());
    }
    assert_eq!(shop.amounts(), (1_000, 0));
}

#[tokio::test]
async fn an_inventory_that_holds_half_or_twice_gets_it_back_and_nothing_is_approved() {
    for (mood, held) in [(Mood::Half, 50), (Mood::Twice, 200)] {
        let shop = Shop::open().await;
        shop.mood(mood);
        let error = shop.hold().await.unwrap_err();
        assert!(
            matches!(&error, HoldError::Amount { asked: 100, held: found, .. } if *found == held),
            "{error}"
        );
        assert!(error.to_string().contains("red/XL"), "{error}");
        assert_eq!(shop.amounts(), (1_000, 0), "{mood:?}");
        // Once it behaves, the same round is held under a new name.
        shop.mood(Mood::Right);
        shop.hold().await.unwrap();
        assert_eq!(
            (shop.amounts(), shop.state().await),
            ((900, 100), HoldState::Held)
        );
    }
}

#[tokio::test]
async fn an_inventory_that_never_answers_holds_nothing_twice_and_gets_back_what_it_held() {
    let shop = Shop::open().await;
    shop.mood(Mood::Mute);
    for _ in 0..3 {
        let error = shop.hold().await.unwrap_err();
        assert!(matches!(
            error,
            HoldError::Inventory {
                source: InventoryError::Away(_),
                ..
            }
        ));
        assert_eq!(
            shop.amounts(),
            (900, 100),
            "held once, and nobody here knows"
        );
        assert_eq!(shop.state().await, HoldState::Asked);
    }
    let differs = compare(&shop.store, &shop.inventory).await.unwrap();
    assert!(differs[0].what.contains("half-way"), "{differs:?}");
    // Nobody approves it again: it goes back, and later it can be held anew.
    assert_eq!(
        shop.sweep(now_ms()).await.unwrap(),
        0,
        "an approval may be under way"
    );
    assert_eq!(shop.sweep(now_ms() + 600_001).await.unwrap(), 1);
    assert_eq!(
        (shop.amounts(), shop.state().await),
        ((1_000, 0), HoldState::Settled)
    );
    shop.mood(Mood::Right);
    shop.hold().await.unwrap();
    assert_eq!(shop.amounts(), (900, 100));
}

#[tokio::test]
async fn a_refusal_of_the_inventory_is_one_of_the_approval() {
    let shop = Shop::open().await;
    let redis = TestRedis::start().await;
    shop.mood(Mood::Refuses);
    let refused = shop.approve(&redis, now_ms()).await.unwrap_err();
    assert!(matches!(refused, ApproveError::Hold(_)), "{refused}");
    assert!(refused.to_string().contains("insufficient"), "{refused}");
    let stored = shop.store.round("7").await.unwrap().unwrap();
    assert_eq!(stored.state, RoundState::Draft);
    assert_eq!(shop.amounts(), (1_000, 0));
}

#[tokio::test]
async fn items_are_found_and_taken_from_the_inventory_under_any_name() {
    let shop = Shop::open().await;
    let found = shop.inventory.items("shirt & co").await.unwrap();
    assert_eq!((found.len(), found[0].sku.as_str()), (1, "red/XL"));
    let item = shop.inventory.item("red/XL").await.unwrap().unwrap();
    assert_eq!((item.title.as_str(), item.price_cents), ("Shirt", 9_900));
    assert_eq!(shop.inventory.item("none").await.unwrap(), None);
    assert_eq!(
        shop.store
            .sku_of(&product_id("red/XL"))
            .await
            .unwrap()
            .unwrap(),
        "red/XL"
    );
    let away = HttpInventory::new("http://127.0.0.1:1", payment_ring()).unwrap();
    assert!(matches!(away.items("").await, Err(InventoryError::Away(_))));
}
