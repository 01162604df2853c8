//! All parts of the main path, wired as the roles are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use redis::AsyncCommands as _;
use seckill::inspect::verify;
use seckill::inspect::verify::Report;
use seckill::orders;
use seckill::orders::payments::signed::Signed;
use seckill::orders::payments::{AnyProvider, Payments};
use seckill::outbox::{archive as ledger, relay};
use seckill::queue::{Queue, Queues, StreamsQueue};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::shop as purchase;
use seckill::shop::ShopState;
use seckill::shop::captcha::{Captcha, Way};
use seckill::shop::tokens::{Reading, Tokens};
use seckill::stock::fence::Fence;
use seckill::stock::following;
use seckill::stock::journal::{Journals, Limits};
use seckill::store::{LazyStore, Store};
use seckill_core::gate::admission::{self, Admission};
use seckill_core::gate::directive::jwt::Jwt;
use seckill_core::keys;
use seckill_core::orders::form::Form;
use seckill_core::orders::money::Currency;
use seckill_core::orders::notification::Channel;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{TestRedis, eventually, item};

/// Shops of each kind.
mod opening;

/// All parts of the main path.
pub struct Shop {
    pub redis: TestRedis,
    /// Those that hold the stock; none: the one above.
    pub masters: Vec<TestRedis>,
    pub link: RedisLink,
    pub segments: Segments,
    pub store: Store,
    pub app: Router,
    pub roles: JoinSet<()>,
    pub stop: CancellationToken,
    /// How long buyers have to pay.
    pub pay_within: Duration,
    /// Where its database is.
    pub database_url: String,
    /// The last journal that it was given.
    journals: Option<Journals>,
    folder: TempDir,
}

impl Shop {
    /// Believes the tokens of the shop's own login from now on.
    pub async fn believe(&mut self, jwt: Jwt) {
        let reading = Reading::start(&jwt.jwks, self.link.clone()).unwrap();
        let tokens = Tokens::new(jwt, reading).unwrap();
        let state = ShopState::new(
            self.link.clone(),
            self.segments.clone(),
            Some(self.store.clone()),
            super::ring(),
            purchase::Options::default(),
        );
        self.app = purchase::router(state.with_tokens(Some(Arc::new(tokens))));
    }

    /// Has buyers fill in this form from now on, and pay by these providers.
    pub async fn wants(&mut self, form: Form, payments: Payments) {
        let state = ShopState::new(
            self.link.clone(),
            self.segments.clone(),
            Some(self.store.clone()),
            super::ring(),
            purchase::Options::default(),
        );
        self.app = purchase::router(state.with_order_form(form).with_payments(payments));
        eventually("the purchase role is healthy", || async {
            (self.get("/healthz", "").await.0 == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Journals purchases from now on while Redis does not answer.
    pub async fn journalling(&mut self, limits: Limits) {
        let base = self.folder.path().join("journal");
        self.journalling_in(base, limits).await;
    }

    /// The same, behind a fence: on a connection of its own, since the fence looks at a
    /// new one.
    pub async fn fenced(&mut self, limits: Limits) {
        self.link = self.redis.link().await;
        let masters: Vec<String> = self.masters.iter().map(TestRedis::url).collect();
        self.segments = Segments::open(&self.link, &masters).unwrap();
        let journals = Journals::open(&self.folder.path().join("journal"), limits).unwrap();
        let archive = LazyStore::opened(self.store.clone());
        let (link, segments) = (self.link.clone(), self.segments.clone());
        let fence = Fence::around(link, segments, archive, Some(journals.forgotten.clone()));
        self.sell_by(journals, Some(fence)).await;
    }

    /// The same, in a folder that may hold a journal already.
    pub async fn journalling_in(&mut self, base: PathBuf, limits: Limits) {
        let journals = Journals::open(&base, limits).unwrap();
        self.sell_by(journals, None).await;
    }

    /// Ends all roles but selling.
    pub async fn stop_roles(&mut self) {
        self.roles.shutdown().await;
    }

    /// Replays the journal again, after the roles were stopped.
    pub fn replays(&mut self) {
        let state = ShopState::new(
            self.link.clone(),
            self.segments.clone(),
            None,
            super::ring(),
            purchase::Options::default(),
        );
        let replayer = state.replayer();
        self.roles
            .spawn(replayer.run(self.journals().clone(), self.stop.clone()));
    }

    async fn sell_by(&mut self, journals: Journals, fence: Option<Arc<Fence>>) {
        let state = ShopState::new(
            self.link.clone(),
            self.segments.clone(),
            Some(self.store.clone()),
            super::ring(),
            purchase::Options::default(),
        )
        .with_journals(Some(journals.clone()))
        .with_fence(fence);
        let replayer = state.replayer();
        self.roles
            .spawn(replayer.run(journals.clone(), self.stop.clone()));
        self.app = purchase::router(state);
        self.journals = Some(journals);
        eventually("the purchase role is healthy", || async {
            (self.get("/healthz", "").await.0 == StatusCode::OK).then_some(())
        })
        .await;
    }

    pub fn journals(&self) -> &Journals {
        self.journals.as_ref().expect("this shop has journals")
    }

    /// What another process would find, were this one killed now.
    pub fn copy_of_journal(&self) -> PathBuf {
        let copy = self.folder.path().join("journal-left");
        let (from, to) = (self.journals().own.folder(), copy.join("1"));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "lock" {
                std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        copy
    }

    pub fn relay(&mut self) {
        self.relay_to(StreamsQueue::orders(self.link.clone()));
    }

    pub fn relay_to(&mut self, queue: impl Queue) {
        self.roles.spawn(relay::run(
            self.link.clone(),
            self.segments.clone(),
            queue,
            self.stop.clone(),
        ));
    }

    /// What `seckill verify` says.
    pub async fn verify(&self) -> Report {
        let system = verify::System {
            store: &self.store,
            redis: &self.link,
            segments: &self.segments,
            queue_is_visible: true,
            pause: Duration::from_millis(50),
        };
        verify::verify(system).await.unwrap()
    }

    /// Archives the ledger.
    pub fn archive(&mut self) {
        self.roles.spawn(ledger::run(
            self.store.clone(),
            self.link.clone(),
            self.segments.clone(),
            self.stop.clone(),
        ));
    }

    pub fn orders(&mut self, queue: StreamsQueue) {
        self.archive();
        let cancels = StreamsQueue::cancels(self.link.clone());
        let queues = Queues {
            orders: queue,
            cancels,
        };
        let options = orders::Options {
            pay_within: self.pay_within,
            ..orders::Options::default()
        };
        self.orders_from(queues, options);
    }

    /// Starts a worker; ending it by the handle leaves what it had in hand.
    pub fn orders_from<O: Queue, C: Queue>(
        &mut self,
        queues: Queues<O, C>,
        options: orders::Options,
    ) -> AbortHandle {
        let (store, link) = (self.store.clone(), self.link.clone());
        self.roles.spawn(orders::run(
            queues,
            store,
            link,
            self.segments.clone(),
            options,
            self.stop.clone(),
        ))
    }

    pub fn run_all(&mut self) {
        self.relay();
        self.orders(StreamsQueue::orders(self.link.clone()));
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            serde_json::from_slice(&body).expect("every answer is JSON"),
        )
    }

    /// The status, and what the response says of the permit.
    pub async fn outcome(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let said = response.headers().get("x-seckill-outcome");
        let said = said.map(|said| said.to_str().unwrap().to_owned());
        (response.status(), said.unwrap_or_default())
    }

    /// Posts a provider's notice, whose response is whatever the provider reads.
    pub async fn notify(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub async fn get(&self, path: &str, user: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header("cookie", super::cookie(user));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Posts as a buyer, without a body.
    pub async fn post(&self, path: &str, user: &str) -> (StatusCode, Value) {
        let request = Request::post(path).header("cookie", super::cookie(user));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Has the stock follow its orders, and unpaid orders expire.
    pub fn settle(&mut self) {
        let segments = self.segments.clone();
        let sweep = following::run(self.store.clone(), segments, self.stop.clone());
        self.roles.spawn(sweep);
    }

    /// Clicks until the outcome is certain: a 202 may also mean that Redis was sent
    /// the purchase and did not answer in time, as on a busy machine, and then the
    /// same request is made again.
    pub async fn click(&self, user: &str, request: &str) -> (StatusCode, Value) {
        eventually("the outcome is certain", || async {
            let answer = self.click_once(user, request).await;
            let accepted = answer.0 == StatusCode::ACCEPTED;
            let uncertain = accepted && self.result(user).await["status"] == "none";
            (!uncertain).then_some(answer)
        })
        .await
    }

    /// Clicks, whatever the answer is.
    pub async fn click_once(&self, user: &str, request: &str) -> (StatusCode, Value) {
        self.send(click(user, request, None)).await
    }

    pub async fn result(&self, user: &str) -> Value {
        self.get("/api/rounds/1/products/153/result", user).await.1
    }

    /// Clicks once, and says whether the purchase is certain.
    pub async fn buys(&self, user: &str, request: &str) -> bool {
        let accepted = self.click_once(user, request).await.0 == StatusCode::ACCEPTED;
        let status = &self.result(user).await["status"];
        accepted && (status == "succeeded" || status == "ordered")
    }

    pub async fn until_ordered(&self, user: &str) -> String {
        eventually("the order is placed", || async {
            let result = self.result(user).await;
            (result["status"] == "ordered").then(|| result["order"].as_str().unwrap().to_owned())
        })
        .await
    }

    pub async fn until_orders(&self, count: u64) {
        eventually("the orders are placed", || async {
            (self.store.live_orders(&item()).await.unwrap() == count).then_some(())
        })
        .await;
    }

    /// Nothing is left on the way: outbox and queue are empty.
    pub async fn until_drained(&self) {
        eventually("nothing is left on the way", || async {
            let mut conn = self.link.conn().await.ok()?;
            let mut waiting: u64 = conn.xlen(keys::QUEUE_ORDERS).await.ok()?;
            for number in (1..).take(self.masters.len().max(1)) {
                let mut conn = self.segments.conn(&item(), number).await.ok()?;
                let outbox: u64 = conn.xlen(keys::outbox(&item(), number)).await.ok()?;
                waiting += outbox;
            }
            (waiting == 0).then_some(())
        })
        .await;
    }

    pub async fn shut(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.roles.join_next().await {
            if let Err(error) = ended {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        self.store.close().await;
    }
}

/// Takes notices that are signed as this system signs.
pub fn signed_payments() -> Payments {
    let signed = Signed::new(super::payment_ring(), Currency::CNY);
    Payments::new(Currency::CNY, vec![AnyProvider::Signed(signed)])
}

/// A click as it comes without an edge, or with a permit as an edge passes it on.
pub fn click(user: &str, request: &str, permit: Option<&str>) -> Request<Body> {
    let url = super::hidden_url(user);
    match permit {
        Some(permit) => admitted(&url, user, request, permit),
        None => Request::post(url)
            .header("cookie", super::cookie(user))
            .header("x-request-id", request)
            .body(Body::empty())
            .unwrap(),
    }
}

/// A click that an edge vouches for; without a permit one that is to be answered again.
pub fn admitted(url: &str, user: &str, request: &str, permit: &str) -> Request<Body> {
    let admission = Admission {
        user,
        round: "1",
        product: "153",
        quantity: 1,
        request,
        permit,
        pass: "",
    };
    Request::post(url)
        .header(admission::USER_HEADER, user)
        .header(admission::REQUEST_HEADER, request)
        .header(admission::PERMIT_HEADER, permit)
        .header(admission::HEADER, admission.sign(super::ring().first()))
        .body(Body::empty())
        .unwrap()
}
