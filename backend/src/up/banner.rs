//! Prints the addresses once all is up.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use seckill_core::sale::halt::Halt;

use super::Options;
use super::logins::Logins;
use crate::config::Config;
use crate::now_ms;
use crate::sale::page;
use crate::store::Store;
use crate::store::round::StoredRound;

/// Most product pages that are listed.
const MOST_PAGES: usize = 9;

/// Prints to standard output. A closed output is no reason to stop.
pub(super) async fn print(config: &Config, options: &Options, took: Duration, logins: &Logins) {
    let rounds = rounds(config).await;
    let mut text = text(config, options, took, &rounds, now_ms());
    text.push_str(&console(config, options, logins));
    if config.captcha.is_on() {
        text.push_str("\nBuyers have to solve a puzzle; SECKILL_CAPTCHA=off sells without.");
    }
    text.push_str("\nCtrl-C stops everything.\n\n");
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

/// The rounds of which something is on sale, or will be.
async fn rounds(config: &Config) -> Vec<StoredRound> {
    let Ok(store) = Store::open(&config.database_url).await else {
        return Vec::new();
    };
    let mut rounds = store.rounds().await.unwrap_or_default();
    store.close().await;
    let now_ms = now_ms();
    rounds.retain(|stored| stored.is_live(now_ms));
    rounds
}

fn text(
    config: &Config,
    options: &Options,
    took: Duration,
    rounds: &[StoredRound],
    now_ms: u64,
) -> String {
    let mut text = format!("\nSeckill is up, after {:.1} s.\n\n", took.as_secs_f64());
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<12}  {value}\n"));
    if options.no_edge {
        line("Purchase", &config.purchase_listen.to_string());
        line("Ops", &config.ops_listen.to_string());
    } else {
        let base = format!("http://localhost:{}", config.port);
        line("Start page", &format!("{base}/"));
        for (address, note) in pages(rounds, now_ms).into_iter().take(MOST_PAGES) {
            line("Product", &format!("{base}{address}   {note}"));
        }
        line("Metrics", &format!("{base}/metrics"));
    }
    line("Redis", &crate::config::masked_url(&config.redis_url));
    line("Data", &config.data.display().to_string());
    if config.demo_login {
        text.push_str("\nAnybody may log in at the shop, under any name of letters and digits: the demo login is on.\n");
    }
    text
}

/// Where the console is, and who can log in there.
fn console(config: &Config, options: &Options, logins: &Logins) -> String {
    let mut text = String::from("\n");
    if !options.no_edge {
        let host = match config.console_address {
            Some(address) if !address.is_unspecified() => {
                SocketAddr::new(address, config.console_port).to_string()
            }
            _ => format!("localhost:{}", config.console_port),
        };
        text.push_str(&format!("  {:<12}  http://{host}/console/\n", "Console"));
    }
    for (name, password) in &logins.demo {
        text.push_str(&format!("  {:<12}  {name} / {password}\n", "Login"));
    }
    if logins.none {
        text.push_str(
            "\nNobody can log in at the console yet: seckill accounts add NAME --role supervisor\n",
        );
    }
    text
}

fn pages(rounds: &[StoredRound], now_ms: u64) -> Vec<(String, String)> {
    rounds
        .iter()
        .flat_map(|stored| {
            let round = &stored.round;
            round.products.iter().filter_map(move |product| {
                let when = when(stored, &product.id, now_ms)?;
                Some((
                    page::path_of(&round.id, &product.id),
                    format!("{}, {when}", product.title),
                ))
            })
        })
        .collect()
}

/// Whether a product can be bought now, or when; `None` for one that is off sale for good.
fn when(stored: &StoredRound, product: &str, now_ms: u64) -> Option<String> {
    let (round, stops) = (&stored.round, &stored.stops);
    match stops.halt(product) {
        Some(Halt::Withdrawn) => return None,
        Some(Halt::Paused) => return Some("paused".to_owned()),
        None => {}
    }
    if stops.ends_ms(product, round.ends_ms) <= now_ms {
        return None;
    }
    Some(match round.opens_ms.saturating_sub(now_ms) {
        0 => "open".to_owned(),
        ms => format!("opens in {}", in_words(ms)),
    })
}

/// A while, rounded up: `28 s`, `5 min`, `3 h`.
fn in_words(ms: u64) -> String {
    match ms.div_ceil(1_000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use crate::store::round::{Product, Round, RoundState, Trail};
    use crate::store::stop::{Cancelling, Stop, StopKind, Stops};

    use super::*;

    fn stored(stops: Stops) -> StoredRound {
        let product = |id: &str| Product {
            id: id.to_owned(),
            title: id.to_uppercase(),
            amount: 1,
            price_cents: 1,
            list_price_cents: 1,
            per_buyer: 1,
            segments: Vec::new(),
            text: String::new(),
            picture: String::new(),
            priced_ms: 0,
            picture_alt: Vec::new(),
        };
        StoredRound {
            round: Round {
                id: "1".to_owned(),
                name: "Noon".to_owned(),
                opens_ms: 1_000,
                ends_ms: 100_000,
                products: ["a", "b"].map(product).into(),
            },
            state: RoundState::Approved,
            trail: Trail::default(),
            published_ms: Some(1),
            frozen: Default::default(),
            stops,
        }
    }

    #[test]
    fn what_is_off_sale_is_not_announced_and_a_pause_is_said() {
        let stop = |kind| Stop {
            kind,
            at_ms: 2_000,
            cancel: Cancelling::None,
        };
        let of_round = |kind| Stops {
            round: Some(stop(kind)),
            ..Stops::default()
        };
        let of_a = |kind| Stops {
            products: [("a".to_owned(), stop(kind))].into(),
            ..Stops::default()
        };
        let of_both = |kind| Stops {
            products: ["a", "b"].map(|id| (id.to_owned(), stop(kind))).into(),
            ..Stops::default()
        };
        let cases: [(Stops, &[&str]); 8] = [
            (Stops::default(), &["A, open", "B, open"]),
            (of_round(StopKind::Paused), &["A, paused", "B, paused"]),
            (of_round(StopKind::Withdrawn), &[]),
            (of_a(StopKind::Paused), &["A, paused", "B, open"]),
            (of_a(StopKind::Withdrawn), &["B, open"]),
            (of_a(StopKind::Ended), &["B, open"]),
            (of_both(StopKind::Ended), &[]),
            (of_both(StopKind::Withdrawn), &[]),
        ];
        for (stops, expected) in cases {
            let stored = stored(stops);
            assert_eq!(stored.is_live(2_000), !expected.is_empty(), "{stored:?}");
            let notes = pages(&[stored], 2_000).into_iter();
            let notes: Vec<String> = notes.map(|(_, note)| note).collect();
            assert_eq!(notes, expected);
        }
    }
}
