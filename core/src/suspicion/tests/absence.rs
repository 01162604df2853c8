//! What follows from what the logs do not show, and from what a page repeats.

use super::*;

#[test]
fn whoever_buys_without_a_page_for_half_a_minute_is_banned_before_the_opening() {
    let mut day = Day::new();
    day.path(OPENS - 58_000, "203.0.113.7", "bot", 200);
    day.goes_on_until(OPENS - 22_000);
    let judged = day.judge();
    assert_eq!(of(&judged, "bot").unwrap().score, 100);
    // As long as the log does not go on, nothing follows from its silence.
    let mut day = Day::new();
    day.path(OPENS - 58_000, "203.0.113.7", "bot", 200);
    assert_eq!(of(&day.judge(), "bot").unwrap().score, 80);
}

#[test]
fn whoever_logs_in_on_the_open_page_and_buys_at_once_is_a_person() {
    let mut day = Day::new();
    let address = "203.0.113.7";
    day.page(OPENS - 20_000, address, "");
    day.open_page(OPENS - 19_000, OPENS + 1_000, address, "");
    day.path(OPENS + 1_200, address, "li", 200);
    day.click(OPENS + 1_900, address, "li", "admitted");
    assert_eq!(day.judge(), []);
    // They pay, and the page goes on asking for the time.
    day.add(OPENS + 4_000, address, "li", "GET", "/api/time", (200, ""));
    day.goes_on_until(OPENS + 60_000);
    assert_eq!(day.judge(), []);
    // Closed at once: worth a look at most.
    day.lines.retain(|(at, _)| *at != OPENS + 4_000);
    assert_eq!(of(&day.judge(), "li").unwrap().score, 60);
}

#[test]
fn a_click_without_an_open_page_is_a_program_s_however_human_its_timing() {
    let mut day = Day::new();
    let address = "203.0.113.7";
    for (user, came) in [("early", OPENS - 70_000), ("late", OPENS - 40_000)] {
        day.page(came, address, user);
        day.path(OPENS - 30_000, address, user, 200);
        day.click(OPENS + 420, address, user, "admitted");
    }
    day.goes_on_until(OPENS + 420 + 15_000);
    let judged = day.judge();
    let score = |user: &str| of(&judged, user).map(|one| one.score);
    assert_eq!((score("early"), score("late")), (Some(100), Some(60)));
    assert_eq!(
        of(&judged, "early").unwrap().summary(200),
        "clicked on 1 products with no page open: up to 70.4 s before and 15 s after it nothing \
         asked for the time or the product's state"
    );
}

#[test]
fn whoever_logs_in_on_an_open_page_in_every_sale_is_not_surely_a_program() {
    let mut day = Day::new();
    let address = "203.0.113.7";
    // An earlier visit, and two sales in which the page was open without a login.
    day.page(OPENS - 600_000, address, "li");
    for (product, click) in [("153", OPENS + 1_900), ("154", OPENS + 301_900)] {
        day.page(click - 20_000, address, "");
        day.open_page(click - 19_000, click - 900, address, "");
        day.path(click - 700, address, "li", 200);
        day.click_on(product, click, address, "li", "admitted");
        day.goes_on_until(click + 60_000);
        assert_eq!(of(&day.judge(), "li").unwrap().score, 60, "{product}");
    }
    // The page that asks for the state once its shopper has logged in was open.
    for login in [OPENS + 1_000, OPENS + 301_000] {
        day.state(login, address, "li");
    }
    assert_eq!(day.judge(), []);
    // Without a page at that address there was none.
    day.lines.retain(|(_, line)| {
        !line.contains("/state") && (line.contains("\"li\"") || !line.contains(address))
    });
    assert_eq!(of(&day.judge(), "li").unwrap().score, 100);
}

#[test]
fn a_phone_that_was_locked_asks_again_before_its_owner_clicks() {
    // A rest in the pocket; a lost question when it is taken out, but not all.
    for back in [OPENS + 100, OPENS + 1_500] {
        let mut day = Day::new();
        let address = "203.0.113.7";
        day.page(OPENS - 300_000, address, "li");
        day.path(OPENS - 290_000, address, "li", 200);
        day.add(back, address, "li", "GET", "/api/time", (200, ""));
        day.click(OPENS + 800, address, "li", "admitted");
        day.goes_on_until(OPENS + 30_000);
        assert_eq!(day.judge(), []);
    }
}

#[test]
fn a_page_whose_requests_wait_in_a_slow_network_was_open() {
    let mut day = Day::new();
    let address = "203.0.113.7";
    day.page(OPENS - 70_000, address, "li");
    day.path(OPENS - 60_000, address, "li", 200);
    day.click(OPENS + 800, address, "li", "admitted");
    let slow = OPENS + 800 + 12_000;
    day.add(slow, address, "li", "GET", "/api/time", (200, ""));
    day.goes_on_until(OPENS + 60_000);
    assert_eq!(day.judge(), []);
}

#[test]
fn while_an_edge_s_log_is_missing_nobody_is_surely_absent() {
    let mut day = Day::new();
    day.path(OPENS - 58_000, "203.0.113.7", "bot", 200);
    for n in 0..12 {
        day.click(OPENS + n * 97 + n * n, "203.0.113.8", "drum", "sold_out");
    }
    let mut watch = day.watch();
    watch.set_blind(true);
    let judged = watch.judge(OPENS + 60_000);
    assert!(of(&judged, "bot").unwrap().is_doubtful);
    // What was seen is seen, whatever else is missing.
    let drum = of(&judged, "drum").unwrap();
    assert!(drum.score >= BAN && !drum.is_doubtful);
    // One log lags behind: what it does not show yet may have happened.
    let mut watch = day.watch();
    watch.set_heard(Some(OPENS - 50_000));
    assert_eq!(of(&watch.judge(OPENS + 60_000), "bot").unwrap().score, 80);
}

#[test]
fn clicks_before_the_opening_are_a_pace_too_but_a_page_s_repeats_are_not() {
    let mut day = Day::new();
    for user in ["page", "bot"] {
        day.page(OPENS - 10_000, "203.0.113.7", user);
    }
    for n in 0..4 {
        let at = OPENS - 300 + n * 70;
        day.repeated(at, "203.0.113.7", "page", "too_early", "one");
    }
    day.repeated(OPENS + 20, "203.0.113.7", "page", "admitted", "one");
    for n in 0..5 {
        let at = OPENS - 300 + n * 60 + n * n;
        day.click(at, "203.0.113.7", "bot", "too_early");
    }
    day.click(OPENS + 20, "203.0.113.7", "bot", "admitted");
    let judged = day.judge();
    assert_eq!(of(&judged, "page"), None);
    let bot = of(&judged, "bot").unwrap();
    let codes: Vec<_> = bot.reasons.iter().map(Reason::code).collect();
    assert_eq!(
        (codes, bot.score),
        (vec!["pace", "early", "at_opening"], 125)
    );
}

#[test]
fn one_id_for_all_clicks_hides_no_pace() {
    let mut day = Day::new();
    day.page(OPENS - 10_000, "203.0.113.7", "bot");
    for n in 0..17 {
        let at = OPENS + 500 + n * 130 + n * n;
        day.repeated(at, "203.0.113.7", "bot", "sold_out", "same");
    }
    assert!(of(&day.judge(), "bot").is_some_and(|bot| bot.score >= BAN));
}
