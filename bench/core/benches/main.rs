//! What the rules cost: a benchmark for each claim about a cost in `seckill-core`,
//! named like the claim. `make bench-core` runs them all and writes the ratios.

mod analysis;
mod gate;
mod pages;
mod signing;
mod tables;

use std::time::Duration;

use criterion::Criterion;
use seckill_core::signing::keyring::Keyring;

/// The moment of all benchmarks, epoch ms: shortly after the opening.
const NOW_MS: u64 = 1_795_406_401_000;
/// The round and product of all benchmarks.
const ITEM: (&str, &str) = ("1", "153");
/// A buyer's name of 16 letters, which makes a key of 20 with [`ITEM`].
const USER: &str = "li.wei@example.c";

/// A ring of two keys, as while a secret is being replaced.
fn ring() -> Keyring {
    let text = format!("k2 {}\nk1 {}\n", "n".repeat(64), "o".repeat(64));
    match Keyring::parse(&text) {
        Ok(ring) => ring,
        Err(error) => unreachable!("{error}"),
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(60)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
        .configure_from_args();
    signing::all(&mut criterion);
    gate::all(&mut criterion);
    tables::all(&mut criterion);
    analysis::all(&mut criterion);
    pages::all(&mut criterion);
    criterion.final_summary();
}
