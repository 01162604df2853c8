//! What a process sold and a Redis has forgotten goes from its memory into the journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seckill::redis::RedisLink;
use seckill::redis::segments::{Segment, Segments};
use seckill::stock::fence::Fence;
use seckill::stock::journal::{Journal, Limits};
use seckill::store::LazyStore;
use seckill_core::stock::ledger::EntryId;
use tempfile::TempDir;

use crate::common::{TestRedis, eventually, item, now_ms, put_on_sale};
use crate::journal::disk::request;

/// A process that sold so many items of which its Redis knows nothing.
struct Seller {
    _redis: TestRedis,
    _folder: TempDir,
    _fence: Arc<Fence>,
    segments: Segments,
    journal: Journal,
}

fn home() -> Segment {
    Segment {
        item: item(),
        number: 1,
    }
}

impl Seller {
    async fn of(purchases: usize) -> Self {
        let redis = TestRedis::start().await;
        put_on_sale(&redis.link().await, 10).await;
        let link = RedisLink::lazy(&redis.url()).unwrap();
        let segments = Segments::on(link.clone());
        let folder = TempDir::new().unwrap();
        let journal = Journal::open(folder.path(), Limits::megabytes(64)).unwrap();
        let archive = LazyStore::at("sqlite:///nowhere/seckill.db", &[]);
        let fence = Fence::around(link, segments.clone(), archive, Some(journal.clone()));
        let ms = now_ms() + 60_000;
        for seq in 0..purchases {
            let (event, user) = (
                EntryId {
                    ms,
                    seq: seq as u64,
                },
                format!("u{seq}"),
            );
            fence.note(&home(), event, request(&user), None);
        }
        Self {
            _redis: redis,
            _folder: folder,
            _fence: fence,
            segments,
            journal,
        }
    }

    /// Connects, which has the connection checked.
    async fn connect(&self) {
        self.segments.conn(&item(), 1).await.unwrap();
    }

    fn assert_all_are_journalled_in_order(&self, purchases: usize) {
        let waiting = self.journal.oldest(&home(), usize::MAX);
        assert_eq!(waiting.len(), purchases);
        for (n, entry) in waiting.iter().enumerate() {
            assert_eq!(entry.request.user, format!("u{n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_purchases_are_journalled_by_few_syncs() {
    let alone = Seller::of(0).await;
    let began = Instant::now();
    for n in 0..500 {
        alone
            .journal
            .append(request(&format!("u{n}")))
            .await
            .unwrap();
    }
    let one_by_one = began.elapsed() * 100;

    let seller = Seller::of(50_000).await;
    let began = Instant::now();
    seller.connect().await;
    let together = began.elapsed();
    seller.assert_all_are_journalled_in_order(50_000);
    assert!(
        together < one_by_one / 4,
        "{together:?}, and {one_by_one:?} with a sync for each"
    );
}

/// Why it can happen: the connection is checked for a buyer's click, and nginx closes a
/// request that takes too long.
#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_leaves_while_their_connection_is_checked_loses_no_purchase() {
    let seller = Seller::of(20_000).await;
    let under_way = async {
        while seller.journal.waiting() == 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    };
    tokio::select! {
        () = under_way => {}
        () = seller.connect() => {}
    }
    seller.connect().await;
    eventually("all are journalled", || async {
        (seller.journal.waiting() >= 20_000).then_some(())
    })
    .await;
    seller.assert_all_are_journalled_in_order(20_000);
}
