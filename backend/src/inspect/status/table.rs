//! The report as a table for people.

use super::{ProductStatus, RoundStatus, Running, Status};
use crate::now_ms;
use crate::pages::report::Report;
use crate::time::rfc3339;

/// The columns of a product's line.
const HEAD: [&str; 9] = [
    "product", "amount", "limit", "permits", "sale", "locked", "saled", "outbox", "orders",
];

/// The whole report.
pub(super) fn of(status: &Status) -> String {
    let mut text = match &status.running {
        Some(Running { pid, started_ms }) => {
            format!(
                "seckill up, process {pid}, since {}\n\n",
                rfc3339(*started_ms)
            )
        }
        None => String::new(),
    };
    for part in &status.parts {
        let up = match part.up {
            Some(true) => "up",
            Some(false) => "down",
            None => "-",
        };
        text.push_str(&format!("{:<10}{up:<6}{}\n", part.name, part.address));
    }
    text.push_str(&format!(
        "\nqueue {}   waiting {}   dead letters {}\n",
        number(status.queue),
        status
            .queue_age_ms
            .map_or_else(|| "-".to_owned(), |ms| format!("{} s", ms / 1000)),
        number(status.dead_letters)
    ));
    for renderer in &status.renderers {
        text.push_str(&renderer_text(renderer));
    }
    // Left out where there are none.
    if let Some(notices) = status.notices.filter(|it| it.waiting + it.dead > 0) {
        text.push_str(&format!(
            "notifications to buyers: waiting {}   given up {}{}\n",
            notices.waiting,
            notices.dead,
            if notices.dead > 0 {
                "; see: seckill notices list"
            } else {
                ""
            }
        ));
    }
    if !status.knows_rounds() {
        text.push_str("\nRounds: not known, because the database is away.\n");
    } else if status.rounds.is_empty() {
        text.push_str("\nNo rounds. Import a sale: seckill sale import FILE --approve\n");
    }
    for round in &status.rounds {
        text.push_str(&round_text(round));
    }
    text
}

fn renderer_text(renderer: &Report) -> String {
    let up = if renderer.is_up() { "" } else { "   DOWN" };
    let waiting = &renderer.waiting;
    let mut text = format!(
        "pages {}   purges waiting {}   {}{up}\n",
        renderer.pages, waiting.purges, renderer.name
    );
    if let (Some(since_ms), Some(error)) = (waiting.since_ms, &waiting.error) {
        let seconds = now_ms().saturating_sub(since_ms) / 1000;
        text.push_str(&format!("  the oldest for {seconds} s: {error}\n"));
    }
    text
}

fn round_text(round: &RoundStatus) -> String {
    let (starts, ends) = (rfc3339(round.starts_ms), rfc3339(round.ends_ms));
    let mut text = format!(
        "\nRound {}  {}  {}  {starts} to {ends}\n",
        round.id, round.name, round.state
    );
    let rows: Vec<[String; 9]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(round.products.iter().map(row))
        .collect();
    let widths: [usize; 9] =
        std::array::from_fn(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0));
    let titles = std::iter::once(String::new()).chain(round.products.iter().map(titled));
    for (row, title) in rows.iter().zip(titles) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:>width$}"))
            .collect();
        text.push_str(format!("  {}  {title}", cells.join("  ")).trim_end());
        text.push('\n');
    }
    text
}

/// What shoppers call it, behind how it was stopped, and what its numbers leave out.
fn titled(product: &ProductStatus) -> String {
    let title = match product.stop {
        Some(stop) => format!("{}: {}", stop.as_str(), product.title),
        None => product.title.clone(),
    };
    match product.segments_away {
        0 => title,
        1 => format!("{title} (without 1 segment, which is away)"),
        away => format!("{title} (without {away} segments, which are away)"),
    }
}

fn row(product: &ProductStatus) -> [String; 9] {
    [
        product.id.clone(),
        product.amount.to_string(),
        number(product.limit),
        number(product.permits),
        number(product.sale),
        number(product.locked),
        number(product.saled),
        number(product.outbox),
        product.orders.to_string(),
    ]
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stop::StopKind;

    #[test]
    fn a_product_that_was_stopped_alone_looks_unlike_the_others() {
        let product = |id: &str, stop| ProductStatus {
            id: id.to_owned(),
            title: "Shirt".to_owned(),
            stop,
            amount: 10,
            segments_away: u16::from(id == "z"),
            limit: None,
            permits: None,
            sale: None,
            locked: None,
            saled: None,
            outbox: None,
            orders: 0,
            ordered_items: 0,
        };
        let round = RoundStatus {
            id: "noon".to_owned(),
            name: "Noon".to_owned(),
            state: "open",
            starts_ms: 0,
            ends_ms: 1,
            products: vec![
                product("x", Some(StopKind::Withdrawn)),
                product("y", Some(StopKind::Paused)),
                product("z", None),
            ],
        };
        let text = round_text(&round);
        let ends: Vec<&str> = text.lines().rev().take(3).collect();
        assert!(ends[2].ends_with("  withdrawn: Shirt"), "{text}");
        assert!(ends[1].ends_with("  paused: Shirt"), "{text}");
        assert!(ends[0].ends_with("  Shirt (without 1 segment, which is away)"));
        let json = serde_json::to_value(&round).unwrap();
        assert_eq!(json["products"][0]["stop"], "withdrawn");
        assert!(json["products"][2]["stop"].is_null());
    }
}
