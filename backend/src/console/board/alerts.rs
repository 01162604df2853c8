//! Judges what is wrong by the numbers of one poll: pure, and each alert says what an
//! operator does about it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::stock::Stock;

/// Leaves out faults that may be a passing moment.
pub(super) mod debounce;

/// Up to this age of the queue's messages, in ms, all is well.
const QUEUE_SLOW_MS: u64 = 20_000;
/// Above this age, in ms, the oldest messages may be failed.
const QUEUE_BACKLOG_MS: u64 = 120_000;
/// How long an event may wait in an outbox, in ms.
const OUTBOX_SLOW_MS: u64 = 20_000;

/// How severe an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// An invariant is broken, or a part is away.
    Critical,
    /// An operator should check.
    Warning,
}

/// The stable name of what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The main Redis is away.
    RedisAway,
    /// The database is away.
    DatabaseAway,
    /// An edge does not respond.
    EdgeAway,
    /// More edges are alive than the board polls.
    EdgesUnread,
    /// Part of a product's stock cannot be read.
    SegmentAway,
    /// Stock differs from what was preloaded and adjusted.
    StockOff,
    /// An amount is below zero.
    StockNegative,
    /// More permits are out than the limit.
    PermitsOver,
    /// Orders wait too long.
    QueueOld,
    /// No worker reads messages from the queue.
    QueueUnread,
    /// Events of a product wait too long.
    OutboxOld,
    /// There are dead letters.
    DeadLetters,
    /// An edge has no room for all bans.
    BansUnmirrored,
    /// An edge has no room for all products.
    ProductsLeftOut,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// What is wrong.
    pub code: Code,
    /// How severe it is.
    pub level: Level,
    /// The product or edge that it is about; empty for the site.
    pub subject: String,
    /// The numbers, by the names that the page's sentences use.
    pub values: BTreeMap<&'static str, String>,
    /// A sentence, with what to do.
    pub message: String,
}

/// What is judged of an edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EdgeFacts {
    /// Its `host:port`.
    pub(super) name: String,
    /// Why it does not respond; `None` while it does.
    pub(super) away: Option<String>,
    /// Bans for which its memory has no room.
    pub(super) bans_unmirrored: u64,
    /// Products for which its memory has no room.
    pub(super) products_left_out: u64,
}

/// All that is judged.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    /// Why the main Redis is away; `None` while it replies.
    pub(super) redis_away: Option<String>,
    /// Why the database is away; `None` while it responds.
    pub(super) database_away: Option<String>,
    /// Edges that the board polls.
    pub(super) edges: Vec<EdgeFacts>,
    /// Edges whose heartbeat counts.
    pub(super) living_edges: u64,
    /// How long the messages that were read last had waited, in ms.
    pub(super) queue_age_ms: Option<u64>,
    /// Messages in the queue.
    pub(super) queue_depth: u64,
    /// Dead letters.
    pub(super) dead_letters: u64,
    /// Products, by name.
    pub(super) stocks: Vec<(String, &'a Stock)>,
    /// The time, epoch ms.
    pub(super) now_ms: u64,
}

/// Everything that is wrong, the most severe first.
pub(super) fn faults(facts: &Facts<'_>) -> Vec<Alert> {
    let mut found = Vec::new();
    parts(facts, &mut found);
    if facts.redis_away.is_none() {
        queue(facts, &mut found);
        for (name, stock) in &facts.stocks {
            product(name, stock, facts.now_ms, &mut found);
        }
    }
    found.sort_by(|a, b| (a.level, a.code, &a.subject).cmp(&(b.level, b.code, &b.subject)));
    found
}

fn parts(facts: &Facts<'_>, found: &mut Vec<Alert>) {
    if let Some(reason) = &facts.redis_away {
        let message = format!(
            "Redis is away: what edges still admit is journalled and sold once Redis is back, and \
             these numbers stand still. The reason: {reason}"
        );
        found.push(alert(Code::RedisAway, "", &[("reason", reason)], message));
    }
    if let Some(reason) = &facts.database_away {
        let message = format!(
            "The database is away. Selling goes on, and orders wait in the queue. The reason: {reason}"
        );
        found.push(alert(
            Code::DatabaseAway,
            "",
            &[("reason", reason)],
            message,
        ));
    }
    for edge in &facts.edges {
        edge_faults(edge, found);
    }
    let answering = facts
        .edges
        .iter()
        .filter(|edge| edge.away.is_none())
        .count() as u64;
    if !facts.edges.is_empty() && facts.living_edges > answering.max(facts.edges.len() as u64) {
        let (living, read) = (
            facts.living_edges.to_string(),
            facts.edges.len().to_string(),
        );
        let message = format!(
            "{living} edges are alive, and this board polls {read}; list the /metrics of all in \
             the setting \"edges\""
        );
        found.push(alert(
            Code::EdgesUnread,
            "",
            &[("living", &living), ("read", &read)],
            message,
        ));
    }
}

fn edge_faults(edge: &EdgeFacts, found: &mut Vec<Alert>) {
    let name = &edge.name;
    if let Some(reason) = &edge.away {
        let message = format!("The edge {name} does not respond: {reason}");
        found.push(alert(Code::EdgeAway, name, &[("reason", reason)], message));
        return;
    }
    if edge.bans_unmirrored > 0 {
        let n = edge.bans_unmirrored.to_string();
        let message = format!(
            "The edge {name} has no room for {n} bans and refuses everybody they may mean; make its \
             seckill_zone larger"
        );
        found.push(alert(Code::BansUnmirrored, name, &[("n", &n)], message));
    }
    if edge.products_left_out > 0 {
        let n = edge.products_left_out.to_string();
        let message = format!(
            "The edge {name} has no room for {n} products and does not sell them; make its \
             seckill_zone larger"
        );
        found.push(alert(Code::ProductsLeftOut, name, &[("n", &n)], message));
    }
}

fn queue(facts: &Facts<'_>, found: &mut Vec<Alert>) {
    match facts.queue_age_ms {
        Some(age) if age > QUEUE_SLOW_MS => {
            let seconds = (age / 1_000).to_string();
            let (level, what) = match age > QUEUE_BACKLOG_MS {
                true => (
                    Level::Critical,
                    "the oldest may be failed, so that others stay fast",
                ),
                false => (Level::Warning, "up to 20 s is usual"),
            };
            let message = format!(
                "Orders wait for {seconds} s ({what}); raise orders_per_second if the database \
                 can bear it, and start another orders role only if fewer than that are placed"
            );
            let values = [("seconds", seconds.as_str())];
            found.push(Alert {
                level,
                ..alert(Code::QueueOld, "", &values, message)
            });
        }
        None if facts.queue_depth > 0 => {
            let n = facts.queue_depth.to_string();
            let message = format!(
                "{n} messages wait and no worker reads them; check that the orders role runs"
            );
            found.push(alert(Code::QueueUnread, "", &[("n", &n)], message));
        }
        _ => {}
    }
    if facts.dead_letters > 0 {
        let n = facts.dead_letters.to_string();
        let message =
            format!("{n} dead letters: no order could be made of them; each has its reason");
        found.push(alert(Code::DeadLetters, "", &[("n", &n)], message));
    }
}

fn product(name: &str, stock: &Stock, now_ms: u64, found: &mut Vec<Alert>) {
    if let Some(first) = stock.missing.first() {
        let n = stock.missing.len().to_string();
        let message = format!("{n} stock segments of {name} cannot be read: {first}");
        found.push(alert(
            Code::SegmentAway,
            name,
            &[("n", &n), ("reason", first)],
            message,
        ));
    }
    if stock.is_negative {
        let [sale, locked, saled] = [stock.sale, stock.locked, stock.saled].map(|n| n.to_string());
        let message = format!(
            "An amount of {name} is below zero (for sale {sale}, locked {locked}, sold {saled}); \
             run \"seckill verify\", then \"seckill stock rebuild\""
        );
        let values = [
            ("sale", sale.as_str()),
            ("locked", &locked),
            ("saled", &saled),
        ];
        found.push(alert(Code::StockNegative, name, &values, message));
    }
    sums(name, stock, found);
    let age_ms = stock.oldest_ms.map_or(0, |ms| now_ms.saturating_sub(ms));
    if age_ms > OUTBOX_SLOW_MS {
        let (n, seconds) = (stock.outbox.to_string(), (age_ms / 1_000).to_string());
        let message = format!(
            "{n} events of {name} wait in the outbox, the oldest for {seconds} s; check that the \
             relay and orders roles run, and that queue and database respond"
        );
        found.push(alert(
            Code::OutboxOld,
            name,
            &[("n", &n), ("seconds", &seconds)],
            message,
        ));
    }
}

/// Checks the stock against what was preloaded and adjusted, and permits against their
/// limit.
fn sums(name: &str, stock: &Stock, found: &mut Vec<Alert>) {
    let Some(limit) = stock.limit.filter(|_| !stock.is_adjusting) else {
        return;
    };
    let sum = stock.sale + stock.locked + stock.saled;
    // Items in transit may have arrived, or not.
    let is_off = sum > limit || sum + stock.in_transit < limit;
    if stock.missing.is_empty() && is_off {
        let [sum, expected, differs] = [sum, limit, sum - limit].map(|n| n.to_string());
        let message = format!(
            "The stock of {name} is off by {differs}: for sale, locked and sold are {sum} together, \
             preloaded and adjusted {expected}; run \"seckill verify\" to find out since when"
        );
        let values = [
            ("sum", sum.as_str()),
            ("expected", &expected),
            ("differs", &differs),
        ];
        found.push(alert(Code::StockOff, name, &values, message));
    }
    // Lowering the amount leaves permits out that were granted before.
    if stock.permits > limit && !stock.was_adjusted {
        let [permits, limit] = [stock.permits, limit].map(|n| n.to_string());
        let message = format!(
            "{permits} permits of {name} are out, and the limit is {limit}; stock still decides, \
             but run \"seckill verify\""
        );
        let values = [("permits", permits.as_str()), ("limit", &limit)];
        found.push(alert(Code::PermitsOver, name, &values, message));
    }
}

fn alert(code: Code, subject: &str, values: &[(&'static str, &str)], message: String) -> Alert {
    let level = match code {
        Code::EdgesUnread | Code::DeadLetters | Code::OutboxOld | Code::QueueOld => Level::Warning,
        _ => Level::Critical,
    };
    Alert {
        code,
        level,
        subject: subject.to_owned(),
        values: values
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect(),
        message,
    }
}

#[cfg(test)]
mod tests;
