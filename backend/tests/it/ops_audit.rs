//! Commands in the audit log: each that changes something is there, by the name of the user
//! who ran it, and nothing is there that was not changed.

use std::io::Write as _;
use std::process::{Output, Stdio};

use crate::common::shop::Shop;
use crate::common::{now_ms, program, record};
use redis::AsyncCommands as _;
use seckill::queue::{DeadLetter, DeadLetters};
use seckill::redis::segments::Segments;
use seckill::store::accounts::Role;
use seckill::store::findings::Finding;
use seckill::store::{Actor, AuditEntry, AuditQuery};
use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;
use serde_json::{Value, json};

/// Runs a command in the name of `wang`, as the shell says, who is somebody else.
fn seckill(shop: &Shop, arguments: &[&str], input: &str) -> Output {
    run(shop, &shop.database_url, arguments, input)
}

fn run(shop: &Shop, database: &str, arguments: &[&str], input: &str) -> Output {
    let folder = tempfile::TempDir::new().unwrap();
    let mut child = program()
        .args(arguments)
        .env("SECKILL_DATA", folder.path())
        .env("SECKILL_REDIS_URL", shop.redis.url())
        .env("SECKILL_DATABASE_URL", database)
        .env("SECKILL_CONSOLE_OIDC_ISSUER", "https://login.example.com")
        .env("SECKILL_CONSOLE_OIDC_CLIENT_ID", "console")
        .env("SECKILL_CONSOLE_OIDC_CLIENT_SECRET", "secret")
        .env("SECKILL_CONSOLE_URL", "https://ops.example.com")
        .env("USER", "wang")
        .env("SUDO_USER", "wang")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(shop: &Shop, arguments: &[&str], input: &str) -> String {
    let output = seckill(shop, arguments, input);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(shop: &Shop, arguments: &[&str], input: &str) -> String {
    let output = seckill(shop, arguments, input);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn log(shop: &Shop) -> Vec<AuditEntry> {
    let wanted = AuditQuery {
        limit: 1_000,
        ..AuditQuery::default()
    };
    let mut entries = shop.store.audit(&wanted).await.unwrap();
    entries.retain(|it| it.via == "command");
    entries.reverse();
    entries
}

/// What the log says since it had `before` entries: action, target and detail.
async fn since(shop: &Shop, before: usize) -> Vec<(String, String, Value)> {
    let me = Actor::on_the_box().name;
    let new = log(shop).await.into_iter().skip(before);
    new.map(|it| {
        assert_eq!(it.who, me, "{it:?}");
        (it.action, it.target, it.detail)
    })
    .collect()
}

fn entry(action: &str, target: &str, detail: Value) -> (String, String, Value) {
    (action.to_owned(), target.to_owned(), detail)
}

async fn bury(shop: &Shop, body: &[u8], source: &str) -> String {
    let letters = DeadLetters::new(shop.link.clone(), Segments::on(shop.link.clone()));
    let letter = DeadLetter {
        body: body.to_vec(),
        reason: "no reason".to_owned(),
        source: source.to_owned(),
        attempts: 1,
    };
    letters.bury(letter).await.unwrap();
    letters.list(None, 100).await.unwrap().pop().unwrap().id
}

/// Leaves Redis no memory to write with, or enough again.
async fn fill(shop: &Shop, is_full: bool) {
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("maxmemory").arg(u8::from(is_full));
    set.exec_async(&mut shop.link.conn().await.unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_commands_change_is_in_the_log_by_the_user_who_ran_them() {
    let shop = Shop::open(10).await;
    done(
        &shop,
        &["accounts", "add", "bob", "--role", "operator"],
        "password of bob\n",
    );
    done(&shop, &["accounts", "password", "bob"], "another of bob\n");
    done(&shop, &["accounts", "remove", "bob"], "");
    done(
        &shop,
        &["bans", "add", "user", "eve", "--reason", "a", "--for", "1h"],
        "",
    );
    done(&shop, &["bans", "add", "user", "eve", "--reason", "b"], "");
    done(&shop, &["bans", "lift", "user", "eve"], "");
    let cancel = bury(&shop, b"{}", keys::QUEUE_CANCELS).await;
    done(&shop, &["orders", "redrive", &cancel], "");
    for _ in 0..2 {
        bury(&shop, b"{}", keys::QUEUE_CANCELS).await;
    }
    done(&shop, &["orders", "redrive", "--all"], "");
    done(&shop, &["session", "revoke", "--user", "auth0|pb"], "");

    let log = since(&shop, 0).await;
    let expires = |at: usize, field: &str| log[at].2[field].clone();
    let first = expires(3, "expires_ms");
    assert!(first.as_u64().unwrap() > now_ms() + 3_500_000, "{first}");
    let before = json!({ "reason": "a", "expires_ms": first });
    let letter = json!({ "reason": "no reason", "source": keys::QUEUE_CANCELS });
    let expected = [
        entry("account.create", "bob", json!({ "role": "operator" })),
        entry("account.password", "bob", json!({})),
        entry("account.remove", "bob", json!({})),
        entry(
            "ban.add",
            "user:eve",
            json!({ "reason": "a", "expires_ms": first }),
        ),
        entry(
            "ban.add",
            "user:eve",
            json!({ "reason": "b", "expires_ms": null, "before": before }),
        ),
        entry("ban.lift", "user:eve", json!({})),
        entry("letter.redrive", &cancel, letter),
        entry("letter.redrive", "all", json!({ "letters": 2 })),
        entry(
            "session.revoke",
            "user:auth0%7Cpb",
            json!({ "until_ms": expires(8, "until_ms") }),
        ),
    ];
    assert_eq!(log, expected);
    shop.shut().await;
}

#[tokio::test]
async fn exports_of_orders_are_in_the_log_with_their_filters() {
    let shop = Shop::open(10).await;
    let all = done(&shop, &["orders", "export"], "");
    assert!(all.starts_with("order,state,"), "{all}");
    let filtered = ["--state", "paid", "--order", "7", "--payment", "zzz"];
    let export = [&["orders", "export", "--format", "json"][..], &filtered].concat();
    assert_eq!(done(&shop, &export, ""), "");
    let detail = json!({ "format": "json", "state": "paid", "order": "7", "payment": "zzz" });
    assert_eq!(
        since(&shop, 0).await,
        [
            entry("order.export", "orders", json!({ "format": "csv" })),
            entry("order.export", "orders", detail),
        ]
    );
    let nowhere = "mysql://u@127.0.0.1:1/shop";
    let unlogged = run(&shop, nowhere, &["orders", "export"], "");
    assert!(unlogged.stdout.is_empty() && !unlogged.status.success());
    shop.shut().await;
}

#[tokio::test]
async fn what_is_so_already_or_refused_leaves_no_line() {
    let shop = Shop::open(10).await;
    let add = ["accounts", "add", "bob", "--role", "operator"];
    done(&shop, &add, "password of bob\n");
    done(&shop, &["accounts", "disable", "bob"], "");
    done(&shop, &["accounts", "link", "bob", "4711"], "");
    let before = log(&shop).await.len();
    assert_eq!(before, 3);
    let said = done(&shop, &["accounts", "disable", "bob"], "");
    assert_eq!(said, "bob may not log in, as before.\n");
    done(&shop, &["accounts", "link", "bob", "4711"], "");
    done(&shop, &["accounts", "forget-factor", "bob"], "");
    done(&shop, &["bans", "lift", "user", "eve"], "");
    refused(&shop, &add, "password of bob\n");
    refused(&shop, &["accounts", "password", "bob"], "short\n");
    refused(&shop, &["accounts", "remove", "eve"], "");
    refused(&shop, &["accounts", "disable", "eve"], "");
    refused(&shop, &["orders", "redrive", "1-1"], "");
    done(&shop, &["orders", "redrive", "--all"], "");
    done(&shop, &["notices", "retry"], "");
    assert_eq!(since(&shop, before).await, []);
    assert_eq!(shop.store.account("bob").await.unwrap().unwrap().version, 3);

    done(&shop, &["accounts", "disable", "bob", "--undo"], "");
    done(&shop, &["accounts", "unlink", "bob"], "");
    let before = log(&shop).await.len();
    done(&shop, &["accounts", "disable", "bob", "--undo"], "");
    done(&shop, &["accounts", "unlink", "bob"], "");
    assert_eq!(since(&shop, before).await, []);
    shop.shut().await;
}

#[tokio::test]
async fn a_letter_that_is_not_given_up_leaves_no_line() {
    let mut shop = Shop::open(10).await;
    shop.run_all();
    let stays = bury(&shop, b"\x00nonsense", keys::QUEUE_ORDERS).await;
    let give_up = |ids: &[&str]| {
        let reason = ["--reason", "test account"];
        [&["orders", "give-up"], ids, &reason]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for ids in [&["1-1"][..], &["x"], &[&stays, &stays]] {
        let arguments = give_up(ids);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&shop, &arguments, "");
        assert_eq!(since(&shop, 0).await, [], "{ids:?}");
    }

    // The letter goes, and its order stays, as the log says.
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    let order = shop.until_ordered("li").await;
    let purchase = OrderMessage {
        v: 1,
        request: "r".into(),
        round: "1".into(),
        product: "153".into(),
        segment: 1,
        user: "li".into(),
        quantity: 1,
        price_cents: 99_900,
        permit: String::new(),
        at_ms: record(&shop.link, "li").await.unwrap().at_ms,
        order: None,
        traceparent: None,
        relayed_us: None,
    };
    let purchase = purchase.to_json().into_bytes();
    let letter = bury(&shop, &purchase, keys::QUEUE_ORDERS).await;
    done(
        &shop,
        &["orders", "give-up", &letter, "--reason", "test account"],
        "",
    );
    let detail = json!({ "reason": "test account", "order": order });
    let expected = entry("letter.giveup", &letter, detail);
    assert_eq!(since(&shop, 0).await, [expected]);
    shop.shut().await;
}

#[tokio::test]
async fn a_ban_that_redis_refuses_leaves_no_line_and_the_finding_open() {
    let shop = Shop::open(10).await;
    let judgement = seckill_core::suspicion::Judgement {
        subject: seckill_core::suspicion::Subject::User("bot".into()),
        score: 80,
        reasons: Vec::new(),
        is_doubtful: false,
    };
    let found = Finding::new("user", "bot", &judgement, now_ms());
    shop.store.put_finding(&found).await.unwrap();
    fill(&shop, true).await;
    for arguments in [
        &["findings", "confirm", "user", "bot"][..],
        &["bans", "add", "user", "bot", "--reason", "x"],
    ] {
        let said = refused(&shop, arguments, "");
        assert!(said.contains("OOM"), "{said}");
    }
    assert_eq!(since(&shop, 0).await, []);
    let finding = shop.store.finding("user", "bot").await.unwrap().unwrap();
    assert_eq!(finding.state.as_str(), "proposed");

    fill(&shop, false).await;
    done(&shop, &["findings", "confirm", "user", "bot"], "");
    let log = since(&shop, 0).await;
    assert_eq!((&*log[0].0, &*log[0].1), ("finding.confirm", "user bot"));
    let by: String = shop
        .link
        .conn()
        .await
        .unwrap()
        .hget(keys::BANS, "user:bot")
        .await
        .unwrap();
    assert!(
        by.contains(&format!("|{}|", Actor::on_the_box().name)),
        "{by}"
    );
    shop.shut().await;
}

#[tokio::test]
async fn bans_do_without_the_database_and_say_that_the_log_lacks_them() {
    let shop = Shop::open(10).await;
    let nowhere = "mysql://u@127.0.0.1:1/shop";
    for arguments in [
        &["bans", "add", "user", "eve", "--reason", "x"][..],
        &["bans", "lift", "user", "eve"],
        &["session", "revoke", "--user", "eve"],
    ] {
        let output = run(&shop, nowhere, arguments, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains("the audit log will not have this"), "{said}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn an_account_is_given_its_password_without_a_byte_order_mark_and_no_name_of_dots() {
    let shop = Shop::open(10).await;
    for name in [".", ".."] {
        let said = refused(
            &shop,
            &["accounts", "add", name, "--role", "operator"],
            "long enough\n",
        );
        assert!(said.contains("not only dots"), "{said}");
        // One of an earlier version can be removed.
        let added = shop.store.add_account(name, Role::Operator, "x", false, 1);
        assert!(added.await.unwrap());
        done(&shop, &["accounts", "disable", name], "");
        done(&shop, &["accounts", "remove", name], "");
    }
    let add = ["accounts", "add", "bob", "--role", "operator"];
    done(&shop, &add, "\u{feff}password of bob\r\n");
    let hash = shop
        .store
        .account("bob")
        .await
        .unwrap()
        .unwrap()
        .password_hash;
    assert!(seckill::console::passwords::is_password(
        "password of bob",
        Some(&hash)
    ));
    done(
        &shop,
        &["session", "revoke", "-"],
        "\u{feff}li.9999999999999-1.k1.x\n",
    );
    shop.shut().await;
}
