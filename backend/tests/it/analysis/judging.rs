//! Who is found and banned for what stands in a log, and who is not.

use jiff::tz::TimeZone;
use seckill::edges::analysis::audience;
use seckill::store::findings::FindingState;
use seckill::store::{Actor, AuditQuery};

use super::shop::Shop;
use crate::common::{eventually, item, now_ms, program};

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_banned_people_are_not_and_whoever_is_dismissed_is_left_alone() {
    let mut shop = Shop::open().await;
    shop.start().await;
    let mut lines = shop.past() + "this is no line\n" + &shop.person("203.0.113.8", "li", 400);
    lines += &shop.bot("203.0.113.7", "bot", 12);
    // Half a line, and its other half later.
    let (half, other) = lines.split_at(lines.len() - 50);
    shop.write(half);
    shop.write(other);
    let found = shop.found("user", "bot", FindingState::Banned).await;
    assert!(found.score >= 100 && found.reasons.len() >= 2, "{found:?}");
    let sentence = found.reasons[0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("times within"), "{sentence}");
    let banned = shop.bans().await;
    assert_eq!(banned.len(), 1, "{banned:?}");
    assert_eq!((&*banned[0].value, &*banned[0].by), ("bot", "analysis"));
    assert!(banned[0].expires_ms.is_some_and(|at| at > now_ms()));
    assert_eq!(shop.finding("user", "li").await, None);

    // What an operator reads, and what they decide.
    let findings = |arguments: &[&str]| {
        let output = program()
            .arg("findings")
            .args(arguments)
            .env("SECKILL_DATA", shop.folder.path())
            .env("SECKILL_DATABASE_URL", &shop.database_url)
            .env("SECKILL_REDIS_URL", shop.redis.url())
            .env("SUDO_USER", "li")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = findings(&["list"]);
    assert!(
        listed.starts_with("user     bot") && listed.contains("times within"),
        "{listed}"
    );
    findings(&["dismiss", "user", "bot"]);
    let query = AuditQuery {
        action: "finding.".to_owned(),
        limit: 10,
        ..AuditQuery::default()
    };
    let log = shop.store.audit(&query).await.unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
    let entry = [&log[0].who, &log[0].via, &log[0].action, &log[0].target];
    // Whatever the shell says of its user.
    let me = Actor::on_the_box().name;
    assert_eq!(entry, [&*me, "command", "finding.dismiss", "user bot"]);
    assert_eq!(shop.bans().await, []);

    // It goes on, worse than before; another one shows that all was read.
    let more = shop.bot("203.0.113.7", "bot", 30) + &shop.bot("203.0.113.9", "other", 12);
    shop.write(&more);
    shop.found("user", "other", FindingState::Banned).await;
    let bot = shop.finding("user", "bot").await.unwrap();
    assert_eq!(
        (bot.state, bot.decided_by.as_deref()),
        (FindingState::Dismissed, Some(&*me))
    );
    assert!(shop.bans().await.iter().all(|ban| ban.value != "bot"));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_programs_is_banned_unless_it_is_allowed_and_bans_have_a_limit() {
    let mut shop = Shop::open().await;
    shop.rules.bans_per_minute = 3;
    shop.start().await;
    let mut lines = shop.past();
    for n in 0..8 {
        lines += &shop.bot("203.0.113.7", &format!("farm{n}"), 0);
        lines += &shop.bot("198.51.100.7", &format!("test{n}"), 0);
    }
    for n in 0..5 {
        lines += &shop.bot(&format!("192.0.2.{n}"), &format!("bot{n}"), 12);
    }
    for n in 0..30 {
        lines += &shop.person(
            &format!("192.0.2.{}", 100 + n),
            &format!("li{n}"),
            300 + n * 40,
        );
    }
    shop.write(&lines);
    let farm = shop
        .found("address", "203.0.113.7", FindingState::Banned)
        .await;
    let sentence = farm.reasons[0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("8 of the 8 accounts"), "{sentence}");
    // Never browsing alone is worth a look, not a ban.
    let alone = shop.found("user", "farm1", FindingState::Proposed).await;
    assert_eq!(alone.score, 80);
    for n in 0..5 {
        let name = format!("bot{n}");
        eventually("each bot is found", || shop.finding("user", &name)).await;
    }
    assert_eq!(shop.finding("address", "198.51.100.7").await, None);
    let held = shop
        .store
        .findings(Some(FindingState::Proposed), 100)
        .await
        .unwrap();
    let banned = shop.bans().await.len();
    assert_eq!(banned, 3, "the address and two of five bots");
    assert_eq!(held.iter().filter(|one| one.score >= 100).count(), 3);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_participants_and_hot_products_survive_a_restart_and_a_rotation() {
    let mut shop = Shop::open().await;
    shop.start().await;
    let mut lines = shop.past();
    for n in 0..10 {
        lines += &shop.person(&format!("203.0.113.{n}"), &format!("li{n}"), 300 + n * 40);
    }
    shop.write(&lines);
    shop.caught_up(41).await;
    shop.stop().await;

    // While nobody reads: more lines, a rotation, and more lines.
    let mut lines = String::new();
    for n in 10..15 {
        lines += &shop.person(&format!("203.0.113.{n}"), &format!("li{n}"), 300 + n * 40);
    }
    shop.write(&lines);
    std::fs::rename(shop.log(), shop.folder.path().join("access.log.1")).unwrap();
    let mut lines = shop.person("203.0.113.99", "li99", 700);
    lines += &shop.bot("203.0.113.100", "bot", 12);
    shop.write(&lines);
    shop.start().await;
    shop.found("user", "bot", FindingState::Banned).await;
    // The first part is read again as history, and not counted again.
    shop.caught_up(41 + 20 + 4 + 13).await;
    shop.stop().await;

    let mut conn = shop.redis.link().await.conn().await.unwrap();
    let counts = audience::read(&mut conn, &[item()]).await.unwrap();
    assert_eq!((counts[0].visitors, counts[0].participants), (17, 17));
    let date = jiff::Timestamp::from_millisecond(i64::try_from(shop.opens_ms).unwrap()).unwrap();
    let date = date.to_zoned(TimeZone::UTC).date().to_string();
    let hot = audience::hottest(&mut conn, &date, 10).await.unwrap();
    // 16 pages, and 16 + 12 clicks.
    assert_eq!(hot, [(item().to_string(), 44)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_nothing_is_lost() {
    let mut shop = Shop::open().await;
    shop.start().await;
    shop.write(&shop.past());
    shop.caught_up(1).await;
    shop.redis.kill();
    shop.write(&shop.bot("203.0.113.7", "bot", 12));
    shop.redis.start_again().await;
    shop.found("user", "bot", FindingState::Banned).await;
    assert_eq!(shop.bans().await.len(), 1);
    shop.stop().await;
}
