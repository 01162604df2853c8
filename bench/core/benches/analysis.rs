//! Reading and judging lines of access logs, and replaying a ledger.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::Criterion;
use seckill_core::stock::ledger::{EntryId, Event, replay};
use seckill_core::suspicion::PROPOSE;
use seckill_core::suspicion::access_log::Line;
use seckill_core::suspicion::watch::{Limits, Watch};

use crate::NOW_MS;

pub(crate) fn all(criterion: &mut Criterion) {
    lines(criterion);
    ledger(criterion);
}

/// Lines as an edge writes them: of ten, eight ask for the time or a state, one
/// fetches a URL and one clicks.
fn log(count: usize, accounts: usize) -> Vec<String> {
    let line = |n: usize| {
        let account = n * 7919 % accounts;
        let (method, uri, status, verdict) = match n % 10 {
            0 => ("POST", "/buy/", 410, "sold_out"),
            1 => ("GET", "/api/rounds/1/products/153/path", 200, ""),
            2..6 => ("GET", "/api/time", 200, ""),
            _ => ("GET", "/api/rounds/1/products/153/state", 200, ""),
        };
        let at_ms = NOW_MS + n as u64;
        let (a, b) = (account >> 8 & 0xff, account & 0xff);
        format!(
            r#"{{"time":"2026-11-23T12:00:00+08:00","msec":{}.{:03},"address":"10.0.{a}.{b}","method":"{method}","uri":"{uri}","status":{status},"bytes":321,"seconds":0.001,"upstream_seconds":"","request":"{n:032x}","verdict":"{verdict}","user":"user{account:07}","round":"1","product":"153","arrival":"","permit":"","agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"}}"#,
            at_ms / 1_000,
            at_ms % 1_000,
        )
    };
    (0..count).map(line).collect()
}

fn lines(criterion: &mut Criterion) {
    const ACCOUNTS: usize = 2_000;
    let log = log(20_000, ACCOUNTS);
    let mut at = 0;
    let mut next = || {
        at = (at + 1) % log.len();
        log[at].as_bytes()
    };
    criterion.bench_function("log line read", |bench| {
        bench.iter(|| Line::parse(next()).map(|line| line.at_ms));
    });
    criterion.bench_function("log line read as any JSON", |bench| {
        bench.iter(|| serde_json::from_slice::<serde_json::Value>(next()).is_ok());
    });
    let mut watch = Watch::new(Limits::default(), PROPOSE);
    watch.set_openings([("1", "153", NOW_MS)].into_iter());
    criterion.bench_function("log line read and taken in", |bench| {
        bench.iter(|| {
            if let Ok(line) = Line::parse(next()) {
                watch.note(&line);
            }
        });
    });
    // All accounts are due again after their clicks.
    criterion.bench_function("2,000 accounts judged", |bench| {
        bench.iter_batched(
            || {
                let mut watch = Watch::new(Limits::default(), PROPOSE);
                watch.set_openings([("1", "153", NOW_MS)].into_iter());
                for line in log.iter().filter_map(|it| Line::parse(it.as_bytes()).ok()) {
                    watch.note(&line);
                }
                watch
            },
            |mut watch| watch.judge(black_box(NOW_MS + 3_600_000)).len(),
            criterion::BatchSize::PerIteration,
        );
    });
}

/// Purchases, each confirmed: the commonest life of an item.
fn events(count: usize) -> Vec<Event> {
    let (mut sale, mut locked, mut saled) = (count as i64, 0, 0);
    let mut events = Vec::with_capacity(count);
    let mut push = |kind: &str, quantity: i64, n: usize, amounts: [i64; 3]| {
        let fields = [
            ("kind", kind.to_owned()),
            ("user", format!("user{n:07}")),
            ("request", format!("request{n:07}")),
            ("quantity", quantity.to_string()),
            ("at_ms", (NOW_MS + n as u64).to_string()),
            ("bought_ms", (NOW_MS + n as u64).to_string()),
            ("sale", amounts[0].to_string()),
            ("locked", amounts[1].to_string()),
            ("saled", amounts[2].to_string()),
        ];
        let fields = fields.map(|(name, text)| (name.to_owned(), text));
        events.push(Event {
            id: EntryId {
                ms: NOW_MS + n as u64,
                seq: 0,
            },
            fields: BTreeMap::from(fields),
        });
    };
    push("preload", sale, 0, [sale, 0, 0]);
    for n in 1..=count / 2 {
        (sale, locked) = (sale - 1, locked + 1);
        push("purchase", 1, n, [sale, locked, saled]);
        (locked, saled) = (locked - 1, saled + 1);
        push("confirm", 1, n, [sale, locked, saled]);
    }
    events
}

fn ledger(criterion: &mut Criterion) {
    let events = events(10_000);
    let faults = replay(&events).faults;
    assert!(faults.is_empty(), "{faults:?}");
    criterion.bench_function("10,000 events replayed", |bench| {
        bench.iter(|| replay(black_box(&events)).amounts);
    });
    criterion.bench_function("10,000 events copied", |bench| {
        bench.iter(|| black_box(&events).clone());
    });
}
