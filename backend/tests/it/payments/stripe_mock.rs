//! What we send to Stripe, sent to Stripe's own stripe-mock, which refuses whatever its
//! published API does not have.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use seckill::orders::payments::stripe::Stripe;
use seckill::orders::payments::{Bill, Provider as _, Refund, Returned, Secret, Site};
use seckill::store::checkouts::Checkout;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::ProviderName;

use crate::common::now_ms;

/// A stripe-mock of the test's own, gone when dropped.
struct StripeMock {
    process: Child,
    url: String,
    /// What it still says has to go somewhere, or it ends.
    _said: BufReader<ChildStdout>,
}

impl StripeMock {
    /// `None`, with a line that says so, where it was not built.
    fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let program = root.join("target/tools/stripe-mock");
        if !program.exists() {
            println!("SKIPPED, stripe-mock is not built (scripts/stripe-mock.sh does it)");
            return None;
        }
        let mut process = Command::new(program)
            .args(["-http-addr", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = said.read_line(&mut line).unwrap();
            assert!(read > 0, "stripe-mock ended before it listened");
            if let Some((_, address)) = line.split_once("HTTP at address: ") {
                break address.trim().to_owned();
            }
        };
        let url = format!("http://{address}");
        Some(Self {
            process,
            url,
            _said: said,
        })
    }
}

impl Drop for StripeMock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn stripes_own_mock_takes_every_request_of_ours() {
    let Some(mock) = StripeMock::start() else {
        return;
    };
    let secrets = vec![Secret::new("whsec_1")];
    let site = Site::new("https://shop.example.com");
    let stripe = Stripe::new(&mock.url, Secret::new("sk_test_1"), secrets, site).unwrap();
    let amount = Money::new(99_900, Currency::CNY);
    let bill = Bill {
        order: OrderId(7),
        title: "手机 & more",
        amount,
        until_ms: now_ms() + 600_000,
        client: None,
        now_ms: now_ms(),
    };
    let opened = stripe.create(&bill).await.unwrap();
    assert!(opened.pay_url.starts_with("https://checkout.stripe.com/"));
    let checkout = Checkout {
        order: OrderId(7),
        provider: ProviderName::Stripe,
        user: "li".to_owned(),
        pay_url: opened.pay_url,
        provider_id: opened.provider_id,
        amount,
        created_ms: now_ms(),
    };
    stripe.query(&checkout).await.unwrap();
    stripe
        .list(now_ms() - 86_400_000, now_ms())
        .await
        .unwrap()
        .unwrap();
    let refund = Refund {
        key: "r1",
        payment: "pi_1",
        order: "7",
        part: Money::new(900, Currency::CNY),
        whole: amount,
    };
    assert_eq!(stripe.refund(&refund).await.unwrap(), Returned::Done);
}
