use std::fmt::Write as _;

use super::access_log::Line;
use super::thresholds::*;
use super::watch::{Limits, Watch};
use super::*;

/// What the logs do not show.
mod absence;
/// A whole crowd.
mod crowd;
/// Anybody's clicks, any number, any order.
mod properties;

/// An opening, and half an hour of watching before it.
const OPENS: u64 = 1_795_406_400_000;

/// A day in the log: lines in any order, given to a watch in the order of their arrival.
#[derive(Default)]
struct Day {
    lines: Vec<(u64, String)>,
}

impl Day {
    /// Somebody else, long before, so that the log counts as watched.
    fn new() -> Self {
        let mut day = Self::default();
        day.add(OPENS - 1_800_000, "198.51.100.1", "", "GET", "/", (200, ""));
        day
    }

    fn add(
        &mut self,
        at: u64,
        address: &str,
        user: &str,
        method: &str,
        uri: &str,
        (status, verdict): (u16, &str),
    ) {
        let item = if matches!(verdict, "admitted" | "duplicate" | "sold_out" | "busy") {
            r#""round":"1","product":"153""#
        } else {
            r#""round":"","product":"""#
        };
        let (s, ms) = (at / 1_000, at % 1_000);
        let mut text = String::new();
        write!(text, r#"{{"msec":{s}.{ms:03},"address":"{address}","method":"{method}","uri":"{uri}","status":{status},"seconds":0.000,"verdict":"{verdict}","user":"{user}",{item},"agent":"x"}}"#).unwrap();
        self.lines.push((at, text));
    }

    fn page(&mut self, at: u64, address: &str, user: &str) {
        self.add(at, address, user, "GET", "/product/1-153.html", (200, ""));
        self.add(at + 90, address, user, "GET", "/api/time", (200, ""));
    }

    fn path(&mut self, at: u64, address: &str, user: &str, status: u16) {
        let uri = "/api/rounds/1/products/153/path";
        self.add(at, address, user, "GET", uri, (status, ""));
    }

    fn click(&mut self, at: u64, address: &str, user: &str, verdict: &str) {
        let status = match verdict {
            "admitted" => 202,
            "sold_out" => 410,
            "too_early" => 425,
            "duplicate" => 409,
            "busy" => 429,
            _ => 403,
        };
        self.add(at, address, user, "POST", "/buy/", (status, verdict));
    }

    /// A click that the page repeats under the same id.
    fn repeated(&mut self, at: u64, address: &str, user: &str, verdict: &str, id: &str) {
        self.click(at, address, user, verdict);
        if let Some((_, text)) = self.lines.last_mut() {
            *text = text.replace(r#","agent""#, &format!(r#","request":"{id}","agent""#));
        }
    }

    /// A click on another product of the round.
    fn click_on(&mut self, product: &str, at: u64, address: &str, user: &str, verdict: &str) {
        self.click(at, address, user, verdict);
        if let Some((_, text)) = self.lines.last_mut() {
            *text = text.replace(r#""product":"153""#, &format!(r#""product":"{product}""#));
        }
    }

    /// What a page asks for once its shopper has logged in.
    fn state(&mut self, at: u64, address: &str, user: &str) {
        let uri = "/api/rounds/1/products/153/state";
        self.add(at, address, user, "GET", uri, (200, ""));
    }

    /// What an open page asks: the time every 30 s, near an opening more often.
    fn open_page(&mut self, from: u64, to: u64, address: &str, user: &str) {
        for at in (from..to).step_by(9_700) {
            self.state(at, address, user);
        }
    }

    /// A person: page, URL, one click.
    fn person(&mut self, address: &str, user: &str, reaction: u64) {
        self.page(OPENS - 40_000, address, user);
        self.open_page(OPENS - 35_000, OPENS + reaction, address, user);
        self.path(OPENS - 30_000, address, user, 200);
        self.click(OPENS + reaction, address, user, "sold_out");
    }

    /// Somebody else, later: up to then the log is known.
    fn goes_on_until(&mut self, at: u64) {
        self.add(at, "198.51.100.1", "", "GET", "/", (200, ""));
    }

    fn watch(&self) -> Watch {
        let mut watch = Watch::new(Limits::default(), PROPOSE);
        watch.set_openings([("1", "153", OPENS)].into_iter());
        for (_, text) in &self.lines {
            watch.note(&Line::parse(text.as_bytes()).unwrap());
        }
        watch
    }

    fn judge(&self) -> Vec<Judgement> {
        let mut watch = self.watch();
        watch.judge(watch.newest_ms() + SETTLE_MS + 1)
    }
}

fn of<'a>(judged: &'a [Judgement], user: &str) -> Option<&'a Judgement> {
    let subject = Subject::User(user.to_owned());
    judged.iter().find(|one| one.subject == subject)
}

fn of_address<'a>(judged: &'a [Judgement], address: &str) -> Option<&'a Judgement> {
    let subject = Subject::Address(address.to_owned());
    judged.iter().find(|one| one.subject == subject)
}

#[test]
fn whoever_buys_without_a_page_is_proposed_and_after_a_click_at_the_opening_banned() {
    let mut day = Day::new();
    day.path(OPENS - 30_000, "203.0.113.7", "bot", 200);
    day.person("203.0.113.8", "li", 400);
    let judged = day.judge();
    assert_eq!(judged.len(), 1, "{judged:?}");
    assert_eq!(of(&judged, "bot").unwrap().score, 80);
    let mut clicked = Day::new();
    clicked.path(OPENS - 30_000, "203.0.113.7", "bot", 200);
    clicked.click(OPENS + 12, "203.0.113.7", "bot", "admitted");
    let judged = clicked.judge();
    let bot = of(&judged, "bot").unwrap();
    assert!(bot.score >= BAN && !bot.is_doubtful);
    assert_eq!(
        bot.summary(250),
        "fetched 1 purchase URLs and clicked 1 times in 30.0 s, but never loaded a page, asked for \
         the time or a product's state; first clicked within 12 ms of the opening, 1 of 1 times"
    );
}

#[test]
fn absence_says_nothing_before_the_log_was_watched_for_a_while() {
    let mut day = Day::default();
    day.path(OPENS - 30_000, "203.0.113.7", "bot", 200);
    day.click(OPENS + 12, "203.0.113.7", "bot", "admitted");
    assert_eq!(day.judge(), []);
}

#[test]
fn when_most_seem_absent_the_logs_are_doubted_and_nobody_is_sure_to_be_banned() {
    let mut day = Day::new();
    for n in 0..60_u64 {
        let address = format!("203.0.113.{n}");
        day.path(OPENS - 30_000 + n, &address, &format!("u{n}"), 200);
    }
    let judged = day.judge();
    assert_eq!(judged.len(), 60);
    assert!(judged.iter().all(|one| one.is_doubtful));
}

#[test]
fn faster_than_the_page_lets_anybody_click() {
    for (clicks, gap, score) in [(4, 700, 0), (5, 700, 60), (12, 130, 100)] {
        let mut day = Day::new();
        day.page(OPENS - 40_000, "203.0.113.7", "bot");
        for n in 0..clicks {
            // Not even: each pause another.
            let at = OPENS + 900 + n * gap + n * n * 7;
            day.click(at, "203.0.113.7", "bot", "sold_out");
        }
        let judged = day.judge();
        assert_eq!(of(&judged, "bot").map_or(0, |one| one.score), score);
    }
}

#[test]
fn like_a_clock_even_if_slow() {
    let mut day = Day::new();
    day.page(OPENS - 40_000, "203.0.113.7", "bot");
    day.open_page(OPENS - 40_000, OPENS + 320_000, "203.0.113.7", "bot");
    for n in 0..10 {
        let at = OPENS + 900 + n * 31_000 + n % 2;
        day.click(at, "203.0.113.7", "bot", "sold_out");
    }
    let judged = day.judge();
    assert_eq!(of(&judged, "bot").unwrap().reasons[0].code(), "even");
    assert_eq!(of(&judged, "bot").unwrap().score, 60);
}

#[test]
fn forged_early_and_repeated_requests_are_told_apart_from_a_page_s_own() {
    let mut day = Day::new();
    for user in ["page", "bot"] {
        day.page(OPENS - 100_000, "203.0.113.7", user);
        day.open_page(OPENS - 99_000, OPENS + 70_000, "203.0.113.7", user);
    }
    // A page repeats a click three times when it came a moment early, renews a
    // stale URL once, and may be open in two windows.
    for n in 0..4 {
        let at = OPENS - 300 + n * 120;
        day.repeated(at, "203.0.113.7", "page", "too_early", "one");
    }
    day.repeated(OPENS + 200, "203.0.113.7", "page", "bad_signature", "one");
    day.repeated(OPENS + 400, "203.0.113.7", "page", "admitted", "one");
    day.click(OPENS + 900, "203.0.113.7", "page", "duplicate");
    for n in 0..12 {
        let at = OPENS - 90_000 + n * 1_900 + n * n * 31;
        day.path(at, "203.0.113.8", "bot", 425);
    }
    for n in 0..4 {
        let at = OPENS + 20_000 + n * 12_000 + n * n * 131;
        day.click(at, "203.0.113.8", "bot", "bad_signature");
    }
    let judged = day.judge();
    assert_eq!(judged.len(), 1, "{judged:?}");
    let bot = of(&judged, "bot").unwrap();
    let codes: Vec<_> = bot.reasons.iter().map(Reason::code).collect();
    assert_eq!((codes, bot.score), (vec!["early", "forged"], 110));
}

#[test]
fn an_office_shares_an_address_and_is_left_alone() {
    let mut day = Day::new();
    for n in 0..60_u64 {
        // Reactions of people: spread over a second, dense around 350 ms.
        let reaction = 200 + (n * 37) % 300 + if n % 5 == 0 { n * 20 } else { 0 };
        day.person("203.0.113.7", &format!("clerk{n}"), reaction);
    }
    assert_eq!(day.judge(), []);
    // One of them uses a program: they are found, and their colleagues still buy.
    for n in 0..15 {
        day.click(
            OPENS + 1_000 + n * 100 + n * n,
            "203.0.113.7",
            "clerk7",
            "sold_out",
        );
    }
    let judged = day.judge();
    assert_eq!(judged.len(), 1);
    assert!(of(&judged, "clerk7").unwrap().score >= BAN);
}

#[test]
fn a_campus_where_some_drum_on_the_button_is_left_alone() {
    let mut day = Day::new();
    // They drum ten times a second, so that they click first, and together …
    for n in 0..25_u64 {
        day.person("203.0.113.7", &format!("drummer{n}"), 1 + n * 2);
    }
    // … while most others have not clicked when all is gone.
    for n in 0..60_u64 {
        let user = format!("student{n}");
        day.page(OPENS - 40_000, "203.0.113.7", &user);
        day.path(OPENS - 30_000, "203.0.113.7", &user, 200);
    }
    assert_eq!(day.judge(), []);
}

#[test]
fn a_farm_that_looks_at_pages_is_betrayed_by_its_step() {
    let mut day = Day::new();
    for n in 0..40_u64 {
        day.person("203.0.113.7", &format!("hen{n}"), 15 + n % 20);
    }
    let judged = day.judge();
    let hen = of(&judged, "hen3").unwrap();
    assert_eq!(hen.reasons[0].code(), "in_step");
    assert!(hen.score >= BAN, "{hen:?}");
    let farm = of_address(&judged, "203.0.113.7").unwrap();
    assert_eq!(
        farm.summary(200),
        "40 of the 40 accounts that buy from here behave like programs; most clicked within 17 ms"
    );
}

#[test]
fn a_proxy_that_stood_still_and_let_go_of_an_office_bans_nobody() {
    let mut day = Day::new();
    for n in 0..40_u64 {
        day.person("203.0.113.7", &format!("clerk{n}"), 2_400 + n % 20);
    }
    let judged = day.judge();
    assert!(of(&judged, "clerk3").is_some_and(|one| one.score < BAN));
}

#[test]
fn an_address_falls_only_if_nearly_all_there_are_programs() {
    for (people, falls) in [(1, true), (5, false)] {
        let mut day = Day::new();
        for n in 0..10_u64 {
            day.path(
                OPENS - 30_000 + n * 50,
                "2001:db8::7",
                &format!("bot{n}"),
                200,
            );
        }
        for n in 0..people {
            day.person("2001:db8::8", &format!("li{n}"), 400 + n * 90);
        }
        let judged = day.judge();
        assert_eq!(of_address(&judged, "2001:db8::/64").is_some(), falls);
        assert!(of(&judged, "li0").is_none());
    }
}

#[test]
fn forgers_without_a_login_cost_their_address_unless_somebody_is_logged_in_there() {
    let mut day = Day::new();
    for n in 0..25 {
        day.path(OPENS - 2_000, "203.0.113.9", "li", 200);
        for address in ["203.0.113.7", "203.0.113.9"] {
            day.click(OPENS + n, address, "", "bad_signature");
        }
        day.page(OPENS - 50_000, "203.0.113.9", "li");
    }
    let judged = day.judge();
    // An address of which nothing else is known appears with its first account only.
    assert!(of_address(&judged, "203.0.113.9").is_none());
    assert!(of_address(&judged, "203.0.113.7").is_some_and(|one| one.score >= BAN));
}

#[test]
fn a_judgement_is_told_once_and_again_when_it_grows() {
    let mut watch = Watch::new(Limits::default(), PROPOSE);
    watch.set_openings([("1", "153", OPENS)].into_iter());
    let mut day = Day::new();
    day.path(OPENS - 30_000, "203.0.113.7", "bot", 200);
    let note = |watch: &mut Watch, day: &mut Day| {
        for (_, text) in day.lines.drain(..) {
            watch.note(&Line::parse(text.as_bytes()).unwrap());
        }
    };
    note(&mut watch, &mut day);
    // Lines of other workers may come a second later.
    assert_eq!(watch.judge(OPENS - 30_000 + 500), []);
    assert_eq!(watch.judge(OPENS - 20_000).len(), 1);
    assert_eq!(watch.judge(OPENS - 10_000), []);
    day.click(OPENS + 5, "203.0.113.7", "bot", "sold_out");
    note(&mut watch, &mut day);
    assert_eq!(watch.judge(OPENS + 10_000)[0].score, 105);
}

#[test]
fn a_summary_keeps_the_heaviest_reason_and_its_length() {
    let pace = Reason::Pace {
        clicks: 20,
        within_ms: 9_000,
    };
    let reasons = vec![Reason::OnlyAtOpenings { openings: 3 }, pace];
    let judgement = Judgement::new(Subject::User("li".into()), reasons, false);
    assert!(
        judgement
            .summary(100)
            .starts_with("clicked 20 times within 9.0 s")
    );
    assert!(judgement.summary(100).len() <= 100);
    assert_eq!(judgement.summary(9), "clicked 2");
}
