//! A payment provider of the kind `[signed]`, with books of its own: buyers pay at its
//! page, it posts notices until the shop has them, lists and refunds payments. It can hang
//! and be gone; its books stay.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{OriginalUri, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use seckill_core::orders::payment;
use seckill_core::signing::keyring::Keyring;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::Client;
use crate::now_ms;

/// Pause before a notice that was not accepted is posted again.
const PAUSE: Duration = Duration::from_millis(300);
/// The secret that shop and provider share.
const KEYS: &str = "drill 2f7c1d0a9be84c55a1f06d3372e8b940\n";

/// The provider.
#[derive(Debug)]
pub(super) struct PaymentProvider {
    shared: Arc<Shared>,
    listening: Option<JoinSet<()>>,
    _posting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    keys: Keyring,
    /// Where notices are posted to.
    shop: String,
    /// Whether requests are left without a response.
    hangs: watch::Sender<bool>,
    books: Mutex<Books>,
}

/// All payments, by order, and the notices that the shop has not confirmed.
#[derive(Debug, Default)]
struct Books {
    payments: BTreeMap<String, Payment>,
    unposted: Vec<Value>,
    /// The keys of refunds that were made: one that is repeated returns nothing more.
    refunds: HashSet<String>,
}

#[derive(Debug, Clone)]
struct Payment {
    order: String,
    amount_cents: u64,
    currency: String,
    refunded_cents: u64,
}

impl Payment {
    fn id(&self) -> String {
        format!("p-{}", self.order)
    }

    fn json(&self) -> Value {
        let status = match self.refunded_cents {
            0 => "paid",
            _ => "refunded",
        };
        let mut body = json!({
            "payment": self.id(), "order": self.order, "amount_cents": self.amount_cents,
            "currency": self.currency, "status": status,
        });
        if self.refunded_cents > 0 {
            body["refunded_cents"] = self.refunded_cents.into();
        }
        body
    }
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    fn is_signed(&self, headers: &HeaderMap, bytes: &[u8]) -> bool {
        let signature = headers.get("x-seckill-signature");
        let signature = signature.and_then(|it| it.to_str().ok()).unwrap_or("");
        payment::verify(&self.keys, signature, bytes, now_ms()).is_ok()
    }
}

impl PaymentProvider {
    /// Writes into `folder` what the shop at this URL has to know of it, and begins at this
    /// port. Returns it with the shop's settings.
    pub(super) async fn start(
        folder: &Path,
        shop: &str,
        port: u16,
    ) -> anyhow::Result<(Self, [(&'static str, String); 3])> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let shared = Arc::new(Shared {
            address,
            keys: Keyring::parse(KEYS).context("the provider's keys")?,
            shop: shop.to_owned(),
            hangs: watch::Sender::new(false),
            books: Mutex::default(),
        });
        let base = shared.base();
        let table = format!(
            "[signed]\npay_url = \"{base}/pay?order={{order}}&amount={{amount_cents}}&currency={{currency}}\"\n\
             api = \"{base}\"\n"
        );
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            let written = fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o600)));
            written.with_context(|| format!("{} cannot be written", path.display()))?;
            anyhow::Ok(path.display().to_string())
        };
        let settings = [
            ("PAYMENTS", write("payments.toml", &table)?),
            ("PAYMENT_KEYS", write("payment-keys", KEYS)?),
            ("SITE_URL", shop.to_owned()),
        ];
        let mut posting = JoinSet::new();
        posting.spawn(post_notices(Arc::clone(&shared)));
        let mut provider = Self {
            shared,
            listening: None,
            _posting: posting,
        };
        provider.come_back().await?;
        Ok((provider, settings))
    }

    /// From now on it accepts requests and does not respond.
    pub(super) fn hang(&self) {
        self.shared.hangs.send_replace(true);
    }

    /// From now on it refuses connections; those that are open hang.
    pub(super) fn go(&mut self) {
        self.hang();
        self.listening = None;
    }

    /// It is there again, with its books.
    pub(super) async fn come_back(&mut self) -> anyhow::Result<()> {
        self.shared.hangs.send_replace(false);
        if self.listening.is_none() {
            let address = self.shared.address;
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("the provider cannot listen at {address}"))?;
            let router = router(Arc::clone(&self.shared));
            let mut listening = JoinSet::new();
            listening.spawn(async move {
                // Ends with its task.
                let _ = axum::serve(listener, router).await;
            });
            self.listening = Some(listening);
        }
        Ok(())
    }

    /// Whether the shop has confirmed all that it was to be told.
    pub(super) fn is_quiet(&self) -> bool {
        self.shared.books().unposted.is_empty()
    }

    /// The id of some payment whose notice the shop has confirmed, and of which nothing was
    /// returned.
    pub(super) fn some_payment(&self) -> Option<String> {
        let books = self.shared.books();
        let is_known = |id: &String| books.unposted.iter().all(|it| it["payment"] != **id);
        let whole = books.payments.values().filter(|it| it.refunded_cents == 0);
        whole.map(Payment::id).find(is_known)
    }

    /// How much of a payment was returned, in minor units.
    pub(super) fn refunded_cents(&self, id: &str) -> u64 {
        let books = self.shared.books();
        let found = books.payments.values().find(|it| it.id() == id);
        found.map_or(0, |it| it.refunded_cents)
    }

    /// How many payments it took.
    pub(super) fn payments(&self) -> usize {
        self.shared.books().payments.len()
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/pay", get(pay))
        .route("/payments", get(list))
        .route("/refunds", post(refund))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            hang_if_told,
        ))
        .with_state(shared)
}

/// Waits while the provider hangs; whoever asks gives up first.
async fn hang_if_told(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut hangs = shared.hangs.subscribe();
    if *hangs.borrow_and_update() {
        std::future::pending::<()>().await;
    }
    next.run(request).await
}

#[derive(serde::Deserialize)]
struct Bill {
    order: String,
    amount: u64,
    currency: String,
    signature: String,
}

/// The page at which a buyer pays; paying twice is paying once.
async fn pay(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    Query(bill): Query<Bill>,
) -> Result<Json<Value>, StatusCode> {
    let url = format!("{}{uri}", shared.base());
    let signed = url
        .split_once("&signature=")
        .map_or(url.as_str(), |(signed, _)| signed);
    payment::verify(&shared.keys, &bill.signature, signed.as_bytes(), now_ms())
        .map_err(|_| StatusCode::FORBIDDEN)?;
    let payment = Payment {
        order: bill.order.clone(),
        amount_cents: bill.amount,
        currency: bill.currency,
        refunded_cents: 0,
    };
    let mut books = shared.books();
    if !books.payments.contains_key(&bill.order) {
        books.unposted.push(payment.json());
        books.payments.insert(bill.order, payment);
    }
    Ok(Json(json!({ "status": "paid" })))
}

/// The payments of an order, or all: those of the drill are of one day.
async fn list(
    State(shared): State<Arc<Shared>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(wanted): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    if !shared.is_signed(&headers, uri.to_string().as_bytes()) {
        return Err(StatusCode::FORBIDDEN);
    }
    let books = shared.books();
    let of_order = |it: &&Payment| wanted.get("order").is_none_or(|order| *order == it.order);
    let found = books.payments.values().filter(of_order);
    let found: Vec<Value> = found.map(Payment::json).collect();
    Ok(Json(json!({ "payments": found })))
}

#[derive(serde::Deserialize)]
struct RefundOrder {
    refund: String,
    order: String,
    amount_cents: u64,
}

async fn refund(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, StatusCode> {
    if !shared.is_signed(&headers, body.as_bytes()) {
        return Err(StatusCode::FORBIDDEN);
    }
    let asked: RefundOrder =
        serde_json::from_str(&body).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let mut books = shared.books();
    let is_new = books.refunds.insert(asked.refund);
    let payment = books.payments.get_mut(&asked.order);
    let payment = payment.ok_or(StatusCode::NOT_FOUND)?;
    if is_new {
        payment.refunded_cents += asked.amount_cents;
    }
    Ok(Json(json!({ "status": "refunded" })))
}

/// Posts each notice until the shop confirms it, as providers do.
async fn post_notices(shared: Arc<Shared>) {
    let client = Client::new(&shared.shop);
    loop {
        let notices = shared.books().unposted.clone();
        for notice in notices {
            if *shared.hangs.borrow() {
                break;
            }
            let body = notice.to_string();
            let signature = payment::sign(&shared.keys, now_ms(), body.as_bytes());
            let headers = [
                ("content-type", "application/json"),
                ("x-seckill-signature", signature.as_str()),
            ];
            let posted = client.send_text("POST", "/api/payments/signed", &headers, body);
            if posted.await.is_some_and(|reply| reply.status == 200) {
                shared.books().unposted.retain(|it| *it != notice);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
