use super::*;

fn stock(sale: i64, locked: i64, saled: i64) -> Stock {
    Stock {
        limit: Some(100),
        permits: 90,
        sale,
        locked,
        saled,
        ..Stock::default()
    }
}

fn codes(facts: &Facts<'_>) -> Vec<Code> {
    faults(facts).iter().map(|alert| alert.code).collect()
}

fn of(stock: &Stock) -> Vec<Code> {
    codes(&Facts {
        stocks: vec![("1::153".to_owned(), stock)],
        now_ms: 1_000_000,
        ..Facts::default()
    })
}

#[test]
fn a_sale_that_runs_as_it_should_has_no_alerts() {
    assert_eq!(of(&stock(10, 20, 70)), []);
    let facts = Facts {
        queue_age_ms: Some(20_000),
        queue_depth: 5_000,
        edges: vec![EdgeFacts::default()],
        living_edges: 1,
        ..Facts::default()
    };
    assert_eq!(codes(&facts), []);
}

#[test]
fn stock_that_is_off_by_one_is_an_alert_with_its_numbers() {
    for (sale, differs) in [(11, "1"), (9, "-1")] {
        let stock = stock(sale, 20, 70);
        let facts = Facts {
            stocks: vec![("1::153".to_owned(), &stock)],
            ..Facts::default()
        };
        let found = faults(&facts);
        assert_eq!(found[0].code, Code::StockOff);
        assert_eq!(found[0].values["differs"], differs);
        assert!(found[0].message.contains("1::153"), "{}", found[0].message);
    }
}

#[test]
fn stock_on_its_way_may_have_arrived_or_not() {
    let mut moving = stock(5, 20, 70);
    moving.in_transit = 5;
    assert_eq!(of(&moving), []);
    moving.sale = 10;
    assert_eq!(of(&moving), []);
    moving.sale = 4;
    assert_eq!(of(&moving), [Code::StockOff]);
}

#[test]
fn an_adjustment_under_way_and_a_missing_segment_are_no_wrong_sums() {
    let mut changing = stock(1, 0, 0);
    changing.is_adjusting = true;
    assert_eq!(of(&changing), []);
    let mut partial = stock(1, 0, 0);
    partial.missing = vec!["1::153::02: Redis at b:1 cannot be reached".to_owned()];
    assert_eq!(of(&partial), [Code::SegmentAway]);
}

#[test]
fn an_amount_below_zero_is_seen_even_if_the_sum_is_right() {
    let mut broken = stock(-1, 31, 70);
    broken.is_negative = true;
    assert_eq!(of(&broken), [Code::StockNegative]);
}

#[test]
fn permits_over_the_limit_are_an_alert_unless_the_amount_was_lowered() {
    let mut over = stock(10, 20, 70);
    over.permits = 101;
    assert_eq!(of(&over), [Code::PermitsOver]);
    over.was_adjusted = true;
    assert_eq!(of(&over), []);
}

#[test]
fn the_queue_is_slow_after_twenty_seconds_and_bad_after_two_minutes() {
    let level = |age| {
        let facts = Facts {
            queue_age_ms: Some(age),
            ..Facts::default()
        };
        faults(&facts).first().map(|alert| alert.level)
    };
    assert_eq!(level(20_000), None);
    assert_eq!(level(20_001), Some(Level::Warning));
    assert_eq!(level(120_001), Some(Level::Critical));
}

#[test]
fn messages_that_no_worker_reads_are_an_alert() {
    let facts = Facts {
        queue_depth: 3,
        ..Facts::default()
    };
    assert_eq!(codes(&facts), [Code::QueueUnread]);
}

#[test]
fn parts_that_are_away_are_alerts_and_old_numbers_are_not_judged() {
    let broken = stock(0, 0, 0);
    let facts = Facts {
        redis_away: Some("connection refused".to_owned()),
        database_away: Some("no answer".to_owned()),
        edges: vec![EdgeFacts {
            name: "a:80".to_owned(),
            away: Some("connection refused".to_owned()),
            ..EdgeFacts::default()
        }],
        living_edges: 0,
        stocks: vec![("1::153".to_owned(), &broken)],
        ..Facts::default()
    };
    assert_eq!(
        codes(&facts),
        [Code::RedisAway, Code::DatabaseAway, Code::EdgeAway]
    );
}

#[test]
fn an_edge_that_nobody_reads_is_missed() {
    let facts = Facts {
        edges: vec![EdgeFacts::default()],
        living_edges: 2,
        ..Facts::default()
    };
    assert_eq!(codes(&facts), [Code::EdgesUnread]);
}

#[test]
fn an_outbox_that_nobody_empties_is_an_alert() {
    let mut waiting = stock(10, 20, 70);
    (waiting.outbox, waiting.oldest_ms) = (12, Some(1_000_000 - 20_001));
    assert_eq!(of(&waiting), [Code::OutboxOld]);
}

#[test]
fn sums_that_are_off_for_a_moment_are_no_alert() {
    let off = |sale| {
        let stock = stock(sale, 20, 70);
        faults(&Facts {
            stocks: vec![("1::153".to_owned(), &stock)],
            ..Facts::default()
        })
    };
    let mut debouncer = debounce::Debouncer::default();
    // Another difference at every poll: stock that moves between two reads.
    for (at, sale) in [(0, 9), (500, 8), (1_000, 7), (1_500, 9), (2_000, 8)] {
        assert_eq!(debouncer.confirmed(at, off(sale)), []);
    }
    assert_eq!(debouncer.confirmed(2_500, off(9)), []);
    assert_eq!(debouncer.confirmed(3_000, off(9)), []);
    assert_eq!(debouncer.confirmed(4_000, off(9)).len(), 1);
    assert_eq!(debouncer.confirmed(4_500, off(10)), []);
}
