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

/// A process that sold so many items of which its Redis knows nothing, and has lost its
/// connection.
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
        segments.conn(&item(), 1).await.unwrap();
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
        let mut conn = redis.link().await.conn().await.unwrap();
        redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .exec_async(&mut conn)
            .await
            .unwrap();
        Self {
            _redis: redis,
            _folder: folder,
            _fence: fence,
            segments,
            journal,
        }
    }

    /// Connects again and again until so many purchases are journalled, as clicks do; then
    /// whoever clicks leaves.
    async fn until_journalled(&self, purchases: usize) {
        let clicks = async {
            loop {
                let _ = self.segments.conn(&item(), 1).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let journalled = eventually("they are journalled", || async {
            (self.journal.waiting() >= purchases).then_some(())
        });
        tokio::select! {
            () = clicks => {}
            () = journalled => {}
        }
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
    seller.until_journalled(50_000).await;
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
    seller.until_journalled(1).await;
    // Nobody clicks any more.
    eventually("all are journalled", || async {
        (seller.journal.waiting() >= 20_000).then_some(())
    })
    .await;
    seller.assert_all_are_journalled_in_order(20_000);
}
