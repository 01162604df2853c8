//! All accounts and addresses, and what follows from them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::access_log::{Endpoint, Line};
use super::account::{Account, Around, First};
use super::address::Address;
use super::judgement::{Judgement, Subject};
use super::key::key_of;
use super::reason::Reason;
use super::thresholds::{
    COMPANY, COMPANY_PERCENT, FORGED_BY_STRANGERS, FORGET_MS, PROPOSE, SETTLE_MS, UNHEARD_MS,
};
use crate::sale::window::PATH_LEAD_MS;
use crate::shared::prefix::Prefix;

/// Around an opening: from so long before …
const BEFORE_MS: u64 = PATH_LEAD_MS + 60_000;
/// … until so long after.
const AFTER_MS: u64 = 300_000;
/// The part of accounts, in percent, from which on the absence of page requests
/// says more about the logs than about them: are all edges' logs read?
const DOUBT_PERCENT: usize = 60;
/// Accounts that are needed for that.
const DOUBT_ACCOUNTS: usize = 50;

/// How much is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Accounts, about 400 bytes each.
    pub accounts: usize,
    /// Addresses, up to 5 KB each where many accounts share one.
    pub addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accounts: 200_000,
            addresses: 50_000,
        }
    }
}

/// All accounts and addresses that are watched.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    accounts: HashMap<u64, Account>,
    addresses: HashMap<u64, Address>,
    /// Opening of each item, and all openings in order.
    openings: HashMap<u64, u64>,
    in_order: Vec<u64>,
    /// Accounts that tried to buy since they were last judged, and addresses with
    /// something new.
    due: HashSet<u64>,
    due_addresses: HashSet<u64>,
    /// Where somebody without a login looked at a page, and when last.
    strangers: HashMap<u64, u64>,
    since_ms: Option<u64>,
    newest_ms: u64,
    /// Up to when all logs are known, if that is not the newest request.
    heard_ms: Option<u64>,
    /// Whether there are edges whose logs are not read.
    is_blind: bool,
    propose: u32,
}

impl Watch {
    /// Reports every account and address whose score reaches `propose`.
    #[must_use]
    pub fn new(limits: Limits, propose: u32) -> Self {
        Self {
            limits,
            accounts: HashMap::new(),
            addresses: HashMap::new(),
            openings: HashMap::new(),
            in_order: Vec::new(),
            due: HashSet::new(),
            due_addresses: HashSet::new(),
            strangers: HashMap::new(),
            since_ms: None,
            newest_ms: 0,
            heard_ms: None,
            is_blind: false,
            propose: propose.max(1),
        }
    }

    /// Takes in when products open: round, product and time.
    pub fn set_openings<'a>(&mut self, openings: impl Iterator<Item = (&'a str, &'a str, u64)>) {
        self.openings = openings
            .map(|(round, product, at)| (key_of(&(round, product)), at))
            .collect();
        self.in_order = self.openings.values().copied().collect();
        self.in_order.sort_unstable();
        self.in_order.dedup();
    }

    /// The arrival of the newest request.
    #[must_use]
    pub fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Takes in up to when all logs are known: one may lag behind the others, and
    /// what it does not show yet may still have happened.
    pub fn set_heard(&mut self, at_ms: Option<u64>) {
        self.heard_ms = at_ms;
    }

    /// Takes in whether there are edges whose logs are not read. As long as there
    /// are, no account is certainly a program for what the logs do not show.
    pub fn set_blind(&mut self, is_blind: bool) {
        self.is_blind = is_blind;
    }

    /// How many accounts and addresses are remembered.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.accounts.len(), self.addresses.len())
    }

    /// Takes in one request.
    pub fn note(&mut self, line: &Line<'_>) {
        self.since_ms = Some(self.since_ms.map_or(line.at_ms, |ms| ms.min(line.at_ms)));
        self.newest_ms = self.newest_ms.max(line.at_ms);
        let wants = matches!(line.endpoint, Endpoint::Path | Endpoint::Click);
        let Some(user) = line.user.as_deref() else {
            if line.is_look() {
                self.note_stranger(line);
            }
            if line.endpoint == Endpoint::Click && line.verdict == "bad_signature" {
                let id = self.address(line);
                if let Some(address) = self.addresses.get_mut(&id) {
                    address.forged = address.forged.saturating_add(1);
                    self.due_addresses.insert(id);
                }
            }
            return;
        };
        let near = self.opening_near(line.at_ms);
        let first = self.first_of(line);
        let id = key_of(&user);
        self.make_room_for_account(id);
        let account = self
            .accounts
            .entry(id)
            .and_modify(|known| {
                if line.at_ms > known.last_ms + FORGET_MS {
                    *known = known.after_a_while(line.at_ms);
                }
            })
            .or_insert_with(|| Account::new(user, line.at_ms));
        let is_first = account.note(line, near, first);
        if wants {
            account.wanted_ms = account.wanted_ms.max(line.at_ms);
            account.wanted_from = key_of(&network(line.address));
            self.due.insert(id);
            let at = self.address(line);
            if let Some(address) = self.addresses.get_mut(&at) {
                address.has_users = true;
                address.join(id);
                if let (true, Some(first)) = (is_first, first) {
                    address.first_click(id, first);
                }
            }
            self.due_addresses.insert(at);
        }
    }

    fn note_stranger(&mut self, line: &Line<'_>) {
        let id = key_of(&network(line.address));
        if !self.strangers.contains_key(&id) && self.strangers.len() >= self.limits.addresses {
            forget_idle(&mut self.strangers, |last_ms| *last_ms);
        }
        let last_ms = self.strangers.entry(id).or_default();
        *last_ms = line.at_ms.max(*last_ms);
    }

    fn first_of(&self, line: &Line<'_>) -> Option<First> {
        if line.endpoint != Endpoint::Click {
            return None;
        }
        let item = key_of(&line.item()?);
        Some(First {
            item,
            at_ms: line.at_ms,
            opens_ms: self.openings.get(&item).copied(),
        })
    }

    /// The opening around this moment.
    fn opening_near(&self, at_ms: u64) -> Option<u64> {
        let next = self.in_order.partition_point(|opens| *opens <= at_ms);
        let before = next.checked_sub(1).map(|last| self.in_order[last]);
        before
            .filter(|opens| at_ms - opens <= AFTER_MS)
            .or_else(|| self.in_order.get(next).copied())
            .filter(|opens| *opens <= at_ms + BEFORE_MS)
    }

    /// The record of the line's address, made if it is new.
    fn address(&mut self, line: &Line<'_>) -> u64 {
        let prefix = network(line.address);
        let id = key_of(&prefix);
        if !self.addresses.contains_key(&id) && self.addresses.len() >= self.limits.addresses {
            forget_idle(&mut self.addresses, |address| address.last_ms);
        }
        let address = self
            .addresses
            .entry(id)
            .and_modify(|known| {
                if line.at_ms > known.last_ms + FORGET_MS {
                    *known = Address::new(std::mem::take(&mut known.name), line.at_ms);
                }
            })
            .or_insert_with(|| Address::new(named(&prefix), line.at_ms));
        address.last_ms = address.last_ms.max(line.at_ms);
        id
    }

    fn make_room_for_account(&mut self, id: u64) {
        if !self.accounts.contains_key(&id) && self.accounts.len() >= self.limits.accounts {
            forget_idle(&mut self.accounts, |account| account.last_ms);
        }
    }

    /// Judges every account that tried to buy [`SETTLE_MS`] or longer before `now_ms`,
    /// and reports those whose score has risen.
    pub fn judge(&mut self, now_ms: u64) -> Vec<Judgement> {
        let is_doubtful = self.is_blind || self.is_absence_doubtful();
        let since_ms = self.since_ms.unwrap_or(0);
        let heard_ms = self.heard_ms.unwrap_or(self.newest_ms);
        let mut reports = Vec::new();
        let mut later = HashSet::new();
        for id in std::mem::take(&mut self.due) {
            let Some(account) = self.accounts.get(&id) else {
                continue;
            };
            if account.wanted_ms + SETTLE_MS > now_ms && account.first_ms + SETTLE_MS > now_ms {
                later.insert(id);
                continue;
            }
            let mut reasons = account.reasons(Around {
                since_ms,
                heard_ms,
                stranger_ms: self.strangers.get(&account.wanted_from).copied(),
            });
            reasons.extend(self.step(id, account));
            let name = account.name.clone();
            let judgement = Judgement::new(Subject::User(name), reasons, is_doubtful);
            // What the logs have not shown yet may come, unless they have ended.
            let settles_ms = account.wanted_ms.max(account.open_until_ms()) + SETTLE_MS;
            let settled = settles_ms <= now_ms.min(heard_ms + SETTLE_MS)
                || account.wanted_ms.max(account.open_until_ms()) + UNHEARD_MS <= now_ms;
            if let Some(account) = self.accounts.get_mut(&id) {
                account.score = judgement.score;
                account.is_absent = judgement.reasons.iter().any(Reason::is_by_absence);
                self.due_addresses.insert(account.wanted_from);
                if judgement.score >= self.propose && judgement.score > account.reported {
                    account.reported = judgement.score;
                    reports.push(judgement);
                }
            }
            if !settled {
                later.insert(id);
            }
        }
        self.due = later;
        self.judge_addresses(is_doubtful, &mut reports);
        reports
    }

    fn step(&self, id: u64, account: &Account) -> Option<Reason> {
        let address = self.addresses.get(&account.wanted_from)?;
        let steps = account.firsts().iter();
        steps
            .filter_map(|first| address.in_step(id, first.item))
            .max_by_key(Reason::points)
    }

    fn judge_addresses(&mut self, is_doubtful: bool, reports: &mut Vec<Judgement>) {
        for id in std::mem::take(&mut self.due_addresses) {
            let Some(address) = self.addresses.get(&id) else {
                continue;
            };
            let mut reasons: Vec<Reason> = self.company(address).into_iter().collect();
            if address.forged >= FORGED_BY_STRANGERS && !address.has_users {
                reasons.push(Reason::ForgedByStrangers {
                    urls: address.forged,
                });
            }
            let name = address.name.clone();
            let judgement = Judgement::new(Subject::Address(name), reasons, is_doubtful);
            if let Some(address) = self.addresses.get_mut(&id)
                && judgement.score >= self.propose
                && judgement.score > address.reported
            {
                address.reported = judgement.score;
                reports.push(judgement);
            }
        }
    }

    /// Whether nearly all who try to buy from an address are like programs. Somebody
    /// who only looks does not count: a bot's owner may let a browser run there.
    fn company(&self, address: &Address) -> Option<Reason> {
        let (mut of, mut suspicious, mut never_browsed, mut absent) = (0, 0, 0, 0);
        for account in address.members().filter_map(|id| self.accounts.get(&id)) {
            of += 1;
            if account.score >= PROPOSE {
                suspicious += 1;
                never_browsed += usize::from(account.never_browsed());
                absent += usize::from(account.is_absent);
            }
        }
        let is_company = suspicious >= COMPANY && suspicious * 100 >= of * COMPANY_PERCENT;
        is_company.then(|| Reason::Company {
            suspicious,
            of,
            within_ms: address.most_clicked_within(),
            never_browsed,
            absent,
        })
    }

    /// Whether so many seem to have no page that the logs are to blame.
    #[must_use]
    pub fn is_absence_doubtful(&self) -> bool {
        let recent =
            |account: &&Account| account.wants() && account.wanted_ms + FORGET_MS > self.newest_ms;
        let (mut all, mut absent) = (0, 0);
        for account in self.accounts.values().filter(recent) {
            all += 1;
            absent += usize::from(account.never_browsed() || account.is_absent);
        }
        all >= DOUBT_ACCOUNTS && absent * 100 >= all * DOUBT_PERCENT
    }
}

/// One subscriber: an address of IPv4, a /64 of IPv6.
fn network(address: IpAddr) -> Prefix {
    match address {
        IpAddr::V4(_) => Prefix::from(address),
        IpAddr::V6(_) => Prefix::new(address, 64).unwrap_or_else(|| Prefix::from(address)),
    }
}

/// The prefix as people write it: a single address without its length.
fn named(prefix: &Prefix) -> String {
    let text = prefix.to_string();
    match text.strip_suffix("/32") {
        Some(address) if prefix.is_v4() => address.to_owned(),
        _ => text,
    }
}

/// Forgets the tenth that was idle longest, so that this is rare.
fn forget_idle<T>(table: &mut HashMap<u64, T>, last_ms: impl Fn(&T) -> u64) {
    let mut times: Vec<u64> = table.values().map(&last_ms).collect();
    let tenth = times.len() / 10;
    if times.is_empty() {
        return;
    }
    let (_, limit, _) = times.select_nth_unstable(tenth);
    let limit = *limit;
    table.retain(|_, record| last_ms(record) > limit);
}
