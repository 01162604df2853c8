//! Shops of each kind: their purchase role serves, and the other roles are not running yet.

use super::*;
use crate::common::masters::put_on_masters;
use crate::common::{database, put_on_sale, ring};

impl Shop {
    /// A shop whose purchase role serves, and whose other roles are not running yet.
    pub async fn open(amount: u64) -> Self {
        Self::open_with(amount, purchase::Options::default()).await
    }

    /// The same with other options, but for the demo login, which is on.
    pub async fn open_with(amount: u64, options: purchase::Options) -> Self {
        Self::open_as(amount, options, &[], None).await
    }

    /// The same, in which buyers are notified by these channels.
    pub async fn open_notifying(
        amount: u64,
        options: purchase::Options,
        channels: &[Channel],
    ) -> Self {
        Self::open_as(amount, options, channels, None).await
    }

    /// A shop that wants captcha passes and hands them out in this way.
    pub async fn open_with_captcha(amount: u64, way: Way) -> Self {
        let options = purchase::Options {
            captcha: true,
            ..purchase::Options::default()
        };
        Self::open_as(amount, options, &[], Some(way)).await
    }

    async fn open_as(
        amount: u64,
        options: purchase::Options,
        channels: &[Channel],
        way: Option<Way>,
    ) -> Self {
        let redis = TestRedis::start().await;
        let link = redis.link().await;
        put_on_sale(&link, amount).await;
        let segments = Segments::on(link);
        let payments = signed_payments();
        let parts = (options, payments, false);
        Self::open_on(redis, (Vec::new(), segments), parts, channels, way).await
    }

    /// A shop whose orders are followed by the feed.
    pub async fn open_feeding(amount: u64) -> Self {
        let redis = TestRedis::start().await;
        let link = redis.link().await;
        put_on_sale(&link, amount).await;
        let segments = Segments::on(link);
        let parts = (purchase::Options::default(), signed_payments(), true);
        Self::open_on(redis, (Vec::new(), segments), parts, &[], None).await
    }

    /// A shop outside the demo, in which these providers take the money.
    pub async fn open_paid_by(amount: u64, payments: Payments) -> Self {
        let redis = TestRedis::start().await;
        let link = redis.link().await;
        put_on_sale(&link, amount).await;
        let segments = Segments::on(link);
        let parts = (purchase::Options::default(), payments, false);
        Self::open_on(redis, (Vec::new(), segments), parts, &[], None).await
    }

    /// A shop whose stock lies on as many masters, this much on each.
    pub async fn open_on_masters(amounts: &[u64]) -> Self {
        let redis = TestRedis::start().await;
        let link = redis.link().await;
        let mut masters = Vec::new();
        for _ in amounts {
            masters.push(TestRedis::start().await);
        }
        let urls: Vec<String> = masters.iter().map(TestRedis::url).collect();
        let segments = Segments::open(&link, &urls).unwrap();
        put_on_masters(&link, &segments, amounts).await;
        let options = purchase::Options::default();
        let parts = (options, signed_payments(), false);
        Self::open_on(redis, (masters, segments), parts, &[], None).await
    }

    async fn open_on(
        redis: TestRedis,
        (masters, segments): (Vec<TestRedis>, Segments),
        (options, payments, feed): (purchase::Options, Payments, bool),
        channels: &[Channel],
        way: Option<Way>,
    ) -> Self {
        let link = redis.link().await;
        let folder = TempDir::new().unwrap();
        let url = database::place(folder.path()).await;
        let store = Store::open(&url)
            .await
            .unwrap()
            .notifying(channels)
            .feeding(feed);
        let options = purchase::Options {
            // A shop with a provider to send buyers to is none of a demo.
            demo_login: payments.pages().next().is_none(),
            ..options
        };
        let state = ShopState::new(
            link.clone(),
            segments.clone(),
            Some(store.clone()),
            ring(),
            options,
        )
        .with_payments(payments)
        .with_captcha(way.map(|way| Captcha::new(way, link.clone())));
        let app = purchase::router(state);
        let shop = Self {
            redis,
            masters,
            link,
            segments,
            store,
            app,
            roles: JoinSet::new(),
            stop: CancellationToken::new(),
            pay_within: Duration::from_secs(600),
            database_url: url,
            journals: None,
            folder,
        };
        eventually("the purchase role is healthy", || async {
            (shop.get("/healthz", "").await.0 == StatusCode::OK).then_some(())
        })
        .await;
        shop
    }
}
