//! Payment providers as a shop meets them: each a real HTTP server that speaks the
//! provider's recorded format and verifies what it is sent, and the notices that it would
//! post. Written for these tests, from the providers' documentation.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use seckill::orders::payments::alipay::{Alipay, Application, Page};
use seckill::orders::payments::rsa::{PrivateKey, PublicKey};
use seckill::orders::payments::signed::Signed;
use seckill::orders::payments::stripe::Stripe;
use seckill::orders::payments::wechat::{Merchant, Trade, WeChat};
use seckill::orders::payments::{AnyProvider, Secret, Site};
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment;
use seckill_core::orders::payment::ProviderName;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::common::{now_ms, payment_ring};

const WEBHOOK_SECRET: &str = "whsec_for_these_tests";
const API_V3_KEY: &str = "0123456789abcdef0123456789abcdef";
const SERIAL: &str = "PUB_KEY_ID_01";

/// PEM of a private key, and of its public key.
type Pem = (String, String);

/// The shop's keys and the providers'.
static OURS: LazyLock<Pem> = LazyLock::new(new_keys);
static THEIRS: LazyLock<Pem> = LazyLock::new(new_keys);

fn new_keys() -> Pem {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output();
        String::from_utf8(output.expect("openssl is installed").stdout).unwrap()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let private = openssl(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
    ]);
    std::fs::write(file.path(), &private).unwrap();
    let public = openssl(&["pkey", "-pubout", "-in", file.path().to_str().unwrap()]);
    (private, public)
}

/// What a notice says.
#[derive(Debug, Clone)]
pub struct Says {
    pub payment: String,
    pub order: String,
    pub amount: Money,
    pub status: Status,
    pub signed_ms: u64,
    /// Whether it is for this shop.
    pub for_us: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Paid,
    Failed,
    /// So much of it was refunded in all.
    Refunded(u64),
}

impl Says {
    pub fn paid(payment: &str, order: &str, cents: u64) -> Self {
        Self {
            payment: payment.to_owned(),
            order: order.to_owned(),
            amount: Money::new(cents, Currency::CNY),
            status: Status::Paid,
            signed_ms: now_ms(),
            for_us: true,
        }
    }

    pub fn but(&self, status: Status) -> Self {
        Self {
            status,
            ..self.clone()
        }
    }
}

/// What a provider was called with, and what it knows.
#[derive(Debug, Default)]
pub struct Records {
    /// Payments that it knows, by order.
    pub known: HashMap<String, Says>,
    /// Calls: method, path and body.
    pub calls: Vec<(String, String, String)>,
    pub refunds: Vec<(String, u64)>,
}

/// A provider with its server.
pub struct Counterpart {
    pub name: ProviderName,
    pub provider: Option<AnyProvider>,
    pub records: Arc<Mutex<Records>>,
    /// Whether its notices say in which currency they are.
    pub names_currency: bool,
    /// Whether its notices name the merchant.
    pub names_merchant: bool,
    /// Whether its notices are refused when they are old.
    pub expires: bool,
}

/// What a provider is called with, and what it replies.
mod serving;

type Shared = (ProviderName, Arc<Mutex<Records>>);

impl Counterpart {
    /// One of each adapter, all running.
    pub async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for name in ProviderName::ALL.into_iter().skip(1) {
            all.push(Self::start(name).await);
        }
        all
    }

    /// The adapters, at an address where nobody replies.
    pub async fn all_away() -> Vec<AnyProvider> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let names = ProviderName::ALL.into_iter().skip(1);
        names.map(|name| adapter(name, &base)).collect()
    }

    pub async fn start(name: ProviderName) -> Self {
        let records = Arc::new(Mutex::new(Records::default()));
        let app = Router::new()
            .fallback(serving::serve)
            .with_state((name, records.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            name,
            provider: Some(adapter(name, &base)),
            records,
            names_currency: name != ProviderName::Alipay,
            names_merchant: matches!(name, ProviderName::Alipay | ProviderName::WeChat),
            expires: name != ProviderName::Alipay,
        }
    }

    /// The request by which it notifies the shop.
    pub fn notice(&self, says: &Says) -> Request<Body> {
        match self.name {
            ProviderName::Signed | ProviderName::Shop => signed_notice(says),
            ProviderName::Stripe => stripe_notice(says),
            ProviderName::Alipay => alipay_notice(says),
            ProviderName::WeChat => wechat_notice(says),
        }
    }

    /// Lets it know of a payment, as if the buyer had paid.
    pub fn knows(&self, says: &Says) {
        let mut records = self.records.lock().unwrap();
        records.known.insert(says.order.clone(), says.clone());
    }
}

fn adapter(name: ProviderName, base: &str) -> AnyProvider {
    let site = Site::new("https://shop.example.com/");
    let key = || PrivateKey::parse(&OURS.0).unwrap();
    let theirs = || PublicKey::parse(&THEIRS.1).unwrap();
    match name {
        ProviderName::Signed | ProviderName::Shop => {
            let page = format!("{base}/pay?o={{order}}&a={{amount}}&back={{return_url}}");
            let signed = Signed::new(payment_ring(), Currency::CNY).with_page(&page, site);
            AnyProvider::Signed(signed.with_api(base).unwrap())
        }
        ProviderName::Stripe => {
            let secrets = ["whsec_older", WEBHOOK_SECRET].map(Secret::new).into();
            let stripe = Stripe::new(base, Secret::new("sk_test_1"), secrets, site);
            AnyProvider::Stripe(stripe.unwrap())
        }
        ProviderName::Alipay => {
            let application = Application {
                app_id: "app-1".to_owned(),
                seller_id: Some("seller-1".to_owned()),
                key: key(),
                alipay_key: theirs(),
                page: Page::Page,
            };
            let gateway = format!("{base}/gateway.do");
            AnyProvider::Alipay(Alipay::new(&gateway, application, site).unwrap())
        }
        ProviderName::WeChat => {
            let merchant = Merchant {
                appid: "wx-1".to_owned(),
                mchid: "mch-1".to_owned(),
                serial: "serial-1".to_owned(),
                key: key(),
                api_v3_key: Secret::new(API_V3_KEY),
                platform_keys: HashMap::from([(SERIAL.to_owned(), theirs())]),
                trade: Trade::H5,
            };
            AnyProvider::WeChat(WeChat::new(base, merchant, site).unwrap())
        }
    }
}

fn signed_body(says: &Says) -> Value {
    let mut body = json!({
        "payment": says.payment,
        "order": says.order,
        "amount_cents": says.amount.minor,
        "currency": says.amount.currency.as_str(),
        "status": match says.status {
            Status::Paid => "paid",
            Status::Failed => "failed",
            Status::Refunded(_) => "refunded",
        },
    });
    if let Status::Refunded(part) = says.status {
        body["refunded_cents"] = part.into();
    }
    body
}

fn signed_notice(says: &Says) -> Request<Body> {
    let body = signed_body(says).to_string();
    let signature = payment::sign(&payment_ring(), says.signed_ms, body.as_bytes());
    Request::post("/api/payments/signed")
        .header("x-seckill-signature", signature)
        .body(Body::from(body))
        .unwrap()
}

fn stripe_notice(says: &Says) -> Request<Body> {
    let currency = says.amount.currency.as_str().to_ascii_lowercase();
    let (kind, object) = match says.status {
        Status::Refunded(part) => (
            "charge.refunded",
            json!({
                "object": "charge", "payment_intent": says.payment, "amount": says.amount.minor,
                "amount_refunded": part, "currency": currency, "metadata": { "order": says.order },
            }),
        ),
        paid_or_failed => (
            if paid_or_failed == Status::Paid {
                "checkout.session.completed"
            } else {
                "checkout.session.async_payment_failed"
            },
            json!({
                "object": "checkout.session", "payment_intent": says.payment,
                "amount_total": says.amount.minor, "currency": currency,
                "client_reference_id": says.order,
                "payment_status": if paid_or_failed == Status::Paid { "paid" } else { "unpaid" },
            }),
        ),
    };
    let body = json!({ "id": "evt_1", "type": kind, "data": { "object": object } }).to_string();
    let seconds = says.signed_ms / 1000;
    let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_SECRET.as_bytes());
    let mac = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let hex: String = mac
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Request::post("/api/payments/stripe")
        .header("stripe-signature", format!("t={seconds},v0=00,v1={hex}"))
        .body(Body::from(body))
        .unwrap()
}

fn alipay_trade(says: &Says) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("trade_no", says.payment.clone()),
        ("out_trade_no", says.order.clone()),
        ("total_amount", says.amount.decimal()),
        ("trade_status", "TRADE_SUCCESS".to_owned()),
    ]);
    match says.status {
        Status::Paid => {}
        Status::Failed => {
            all.insert("trade_status", "TRADE_CLOSED".to_owned());
        }
        Status::Refunded(part) => {
            if part >= says.amount.minor {
                all.insert("trade_status", "TRADE_CLOSED".to_owned());
            }
            all.insert("refund_fee", Money::new(part, Currency::CNY).decimal());
        }
    }
    let owned = all.into_iter().map(|(key, value)| (key.to_owned(), value));
    owned.collect()
}

fn alipay_notice(says: &Says) -> Request<Body> {
    let mut all = alipay_trade(says);
    let app = if says.for_us { "app-1" } else { "app-2" };
    for (key, value) in [
        ("app_id", app),
        ("seller_id", "seller-1"),
        ("subject", "手机 100%+&="),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    all.retain(|_, value| !value.is_empty());
    let pairs: Vec<String> = all
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let sign = PrivateKey::parse(&THEIRS.0)
        .unwrap()
        .sign(pairs.join("&").as_bytes());
    all.insert("sign".to_owned(), sign);
    all.insert("sign_type".to_owned(), "RSA2".to_owned());
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(all)
        .finish();
    Request::post("/api/payments/alipay")
        .body(Body::from(body))
        .unwrap()
}

fn wechat_transaction(says: &Says) -> Value {
    json!({
        "mchid": if says.for_us { "mch-1" } else { "mch-2" },
        "appid": "wx-1",
        "out_trade_no": says.order,
        "transaction_id": says.payment,
        "trade_state": if says.status == Status::Failed { "PAYERROR" } else { "SUCCESS" },
        "amount": { "total": says.amount.minor, "currency": says.amount.currency.as_str() },
    })
}

fn wechat_notice(says: &Says) -> Request<Body> {
    let mut plain = wechat_transaction(says);
    let kind = match says.status {
        Status::Refunded(part) => {
            plain["amount"]["refund"] = part.into();
            "REFUND.SUCCESS"
        }
        _ => "TRANSACTION.SUCCESS",
    };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, API_V3_KEY.as_bytes()).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(b"wCq51qZv4Yfg").unwrap();
    let mut bytes = plain.to_string().into_bytes();
    key.seal_in_place_append_tag(nonce, Aad::from(b"transaction"), &mut bytes)
        .unwrap();
    let body = json!({
        "id": "e-1", "event_type": kind, "resource_type": "encrypt-resource",
        "resource": {
            "algorithm": "AEAD_AES_256_GCM", "ciphertext": STANDARD.encode(bytes),
            "associated_data": "transaction", "nonce": "wCq51qZv4Yfg",
        },
    })
    .to_string();
    let mut request = Request::post("/api/payments/wechat");
    for (name, value) in wechat_signature(&body, says.signed_ms) {
        request = request.header(name, value);
    }
    request.body(Body::from(body)).unwrap()
}

fn wechat_signature(body: &str, at_ms: u64) -> [(&'static str, String); 4] {
    let seconds = at_ms / 1000;
    let text = format!("{seconds}\nn0nce\n{body}\n");
    let signature = PrivateKey::parse(&THEIRS.0).unwrap().sign(text.as_bytes());
    [
        ("wechatpay-timestamp", seconds.to_string()),
        ("wechatpay-nonce", "n0nce".to_owned()),
        ("wechatpay-serial", SERIAL.to_owned()),
        ("wechatpay-signature", signature),
    ]
}
