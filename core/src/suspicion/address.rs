//! What is remembered of one address.

use std::collections::HashSet;

use super::reason::Reason;
use super::thresholds::{GROUP, STEP_MS, STEP_PERCENT};

/// Accounts of an address that are kept apart; further ones are ignored.
const MEMBERS: usize = 256;
/// First clicks that are kept.
const FIRSTS: usize = 128;

/// One account's first click on a product.
#[derive(Debug, Clone, Copy)]
struct First {
    account: u64,
    item: u64,
    at_ms: u64,
    opens_ms: Option<u64>,
}

/// One address's requests, as far as they may be needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Address {
    /// The address or network as a ban would name it.
    pub(super) name: String,
    pub(super) last_ms: u64,
    /// The highest score that was reported.
    pub(super) reported: u32,
    /// Whether anybody ever was logged in here.
    pub(super) has_users: bool,
    /// Forged URLs without a login.
    pub(super) forged: u32,
    /// Accounts that tried to buy from here.
    members: HashSet<u64>,
    firsts: Vec<First>,
}

impl Address {
    pub(super) fn new(name: String, at_ms: u64) -> Self {
        Self {
            name,
            last_ms: at_ms,
            ..Self::default()
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = u64> {
        self.members.iter().copied()
    }

    pub(super) fn join(&mut self, account: u64) {
        if self.members.len() < MEMBERS {
            self.members.insert(account);
        }
    }

    /// Notes an account's first click on an item.
    pub(super) fn first_click(&mut self, account: u64, click: super::account::First) {
        if self.firsts.len() == FIRSTS {
            self.firsts.remove(0);
        }
        self.firsts.push(First {
            account,
            item: click.item,
            at_ms: click.at_ms,
            opens_ms: click.opens_ms,
        });
    }

    /// Whether `account` first clicked on `item` in step with most others who try to
    /// buy here. Those who are still waiting count too: of a campus, those who drum on the
    /// button click first, and together.
    pub(super) fn in_step(&self, account: u64, item: u64) -> Option<Reason> {
        let mut group: Vec<&First> = self.firsts.iter().filter(|it| it.item == item).collect();
        if group.len() < GROUP {
            return None;
        }
        group.sort_by_key(|first| first.at_ms);
        let (from, to) = densest(&group);
        let inside = &group[from..=to];
        let of = group.len().max(self.members.len());
        let is_in_step = inside.len() * 100 >= of * STEP_PERCENT;
        if !is_in_step || !inside.iter().any(|first| first.account == account) {
            return None;
        }
        let half = inside[(inside.len() - 1) / 2];
        Some(Reason::InStep {
            inside: inside.len(),
            of,
            span_ms: inside[inside.len() - 1].at_ms - inside[0].at_ms,
            reaction_ms: half
                .opens_ms
                .and_then(|opens| half.at_ms.checked_sub(opens)),
            address: self.name.clone(),
        })
    }

    /// In which time nine of ten first clicks of the members came; `None` if there
    /// were few.
    pub(super) fn most_clicked_within(&self) -> Option<u64> {
        let mut times: Vec<u64> = self.firsts.iter().map(|first| first.at_ms).collect();
        if times.len() < GROUP {
            return None;
        }
        times.sort_unstable();
        let most = times.len() * 9 / 10;
        times.windows(most).map(|run| run[most - 1] - run[0]).min()
    }
}

/// The longest run of clicks within [`STEP_MS`], as its first and last place.
fn densest(group: &[&First]) -> (usize, usize) {
    let (mut best, mut from) = ((0, 0), 0);
    for (to, first) in group.iter().enumerate() {
        while first.at_ms - group[from].at_ms > STEP_MS {
            from += 1;
        }
        if to - from > best.1 - best.0 {
            best = (from, to);
        }
    }
    best
}
