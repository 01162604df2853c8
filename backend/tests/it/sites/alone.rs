//! Commands and consoles that were not told of the other sites. A sale file that does not
//! name them would be sold whole at each.

use std::path::Path;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use seckill::redis::RedisLink;
use seckill::stock::sites::messages;
use seckill::store::accounts::Role;
use seckill_core::keys;
use serde_json::json;
use tempfile::TempDir;

use super::place::{Pair, Place, shop_alone};
use crate::common::console::{Answer, Console};
use crate::common::masters::{buy, buy_with_permit};
use crate::common::{database, eventually, now_ms, program};
use crate::console::rounds;

const SALE: &str = "[[round]]\nid = \"9\"\nname = \"Noon\"\nstarts = \"+1h\"\nends = \"+1h\"\n\
                    [[round.product]]\nid = \"1\"\ntitle = \"Phone\"\namount = 1000\n\
                    price_cents = 1\n";

const OF_EAST: [(&str, &str); 4] = [
    ("SECKILL_SITE", "east"),
    ("SECKILL_SITE_PEERS", "west http://127.0.0.1:1"),
    ("SECKILL_SITE_HOME", "east"),
    ("SECKILL_SITE_LISTEN", "127.0.0.1:1"),
];

/// Gives a command beside the roles of this Redis; returns what it said, and whether it
/// went well.
fn command(
    (redis, data): (&str, &Path),
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (bool, String) {
    let mut command = program();
    command.args(arguments).current_dir(data);
    command.env("SECKILL_REDIS_URL", redis);
    command.env("SECKILL_DATA", data);
    command.envs(settings.iter().copied());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_its_site_puts_nothing_on_sale_beside_roles_of_one_of_several() {
    let pair = Pair::open(&[4], &[4], Duration::from_secs(86_400)).await;
    let east = &pair.east;
    eventually("east has heard west", || async {
        let mut conn = east.link.conn().await.unwrap();
        let heard = messages::heard(&mut conn).await.unwrap();
        heard.contains_key("west").then_some(())
    })
    .await;
    let (folder, redis) = (TempDir::new().unwrap(), east.redis_url());
    std::fs::write(folder.path().join("sale.toml"), SALE).unwrap();
    let place = (redis.as_str(), folder.path());
    let import = ["sale", "import", "sale.toml"];
    let (went_well, said) = command(place, &import, &[]);
    assert!(!went_well, "{said}");
    for part in ["nothing was imported", "site west reported", "set site,"] {
        assert!(said.contains(part), "{said}");
    }
    // Nobody knew of the other site: its Redis was away.
    let nowhere = format!("unix://{}", folder.path().join("none").display());
    let (went_well, said) = command((&nowhere, folder.path()), &import, &[]);
    assert!(went_well, "{said}");
    let (went_well, said) = command(place, &["sale", "approve", "9"], &[]);
    assert!(
        !went_well && said.contains("round \"9\" was not approved: \"site\" is not set"),
        "{said}"
    );

    // With the settings of the roles it sells this site's share.
    let (went_well, said) = command(place, &[&import[..], &["--approve"]].concat(), &OF_EAST);
    assert!(went_well, "{said}");
    let mut conn = east.link.conn().await.unwrap();
    let limit: Option<u64> = redis::cmd("HGET")
        .arg(keys::info(&seckill_core::ids::Item::new("9", "1").unwrap()))
        .arg(keys::INFO_LIMIT)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(limit, Some(500));

    // More items are a share's, too; fewer are promised by nobody.
    let adjust = |amount| ["stock", "adjust", "9", "1", amount, "--alone", "More came."];
    let (went_well, said) = command(place, &adjust("600"), &[]);
    assert!(!went_well && said.contains("site west reported"), "{said}");
    let (went_well, said) = command(place, &adjust("400"), &[]);
    assert!(went_well, "{said}");
    let (went_well, said) = command(place, &adjust("600"), &OF_EAST);
    assert!(went_well, "{said}");
}

/// Has this site's Redis know that it heard west so many days ago.
async fn hear_west(link: &RedisLink, days: u64) {
    let at_ms = now_ms() - days * 86_400_000;
    let heard = json!({ "at_ms": at_ms, "asked_ms": at_ms, "items": [] });
    let mut set = redis::cmd("HSET");
    set.arg(keys::SITE_REPORTS)
        .arg("west")
        .arg(heard.to_string());
    let mut conn = link.conn().await.unwrap();
    set.exec_async(&mut conn).await.unwrap();
}

#[tokio::test]
async fn a_console_without_its_site_imports_no_file_until_the_others_are_forgotten() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let import = async || {
        let import = console.request(Method::POST, "/ops/api/rounds/import");
        import.of(&li).bytes(SALE.into()).send().await
    };
    hear_west(&console.link, 6).await;
    let refused = import().await;
    let mistake = &refused.body["mistakes"][0];
    assert_eq!(
        (refused.status, &mistake["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("site_unset"))
    );
    assert!(mistake["message"].as_str().unwrap().contains("west"));
    hear_west(&console.link, 8).await;
    let imported = import().await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_role_without_its_site_sells_nothing_beside_others() {
    let east = Place::open("east", &[10]).await;
    hear_west(&east.link, 6).await;
    let app = shop_alone(&east).await;
    let refused = (StatusCode::SERVICE_UNAVAILABLE, "unavailable".to_owned());
    assert_eq!(buy(&app, "u1", 1).await, refused);
    let (_, outcome) = buy_with_permit(&app, "u1", "e.l.1").await;
    assert_eq!(outcome, "unused");
    assert_eq!(east.state().await.0, 10);

    // The others were given up.
    let mut conn = east.link.conn().await.unwrap();
    let mut forget = redis::cmd("DEL");
    forget.arg(keys::SITE_REPORTS);
    forget.exec_async(&mut conn).await.unwrap();
    eventually("it sells", || async {
        (buy(&app, "u2", 1).await.0 == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    // They are heard after all, and an operator changes what is on sale.
    hear_west(&east.link, 0).await;
    let mut change = redis::cmd("HINCRBY");
    change.arg(keys::CATALOGUE).arg(keys::CATALOGUE_VERSION);
    change.arg(1).exec_async(&mut conn).await.unwrap();
    eventually("it stops", || async {
        (buy(&app, "u3", 1).await == refused).then_some(())
    })
    .await;
}

fn is_site_unset(refused: &Answer) {
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("site_unset")),
        "{}",
        refused.body
    );
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("site west reported"), "{message}");
    assert_eq!(message.matches("othing was").count(), 1, "{message}");
}

#[tokio::test]
async fn a_console_without_its_site_puts_nothing_more_on_sale_and_still_takes_off() {
    let (console, li, wang, _) = rounds::three().await;
    let submitted = async |product: &str| {
        let round = rounds::make(&console, &li, &rounds::form(product)).await;
        rounds::step(&console, &li, &round, "submit").await.body
    };
    let (sold, waiting) = (submitted("153").await, submitted("154").await);
    let sold = rounds::step(&console, &wang, &sold, "approve").await;
    assert_eq!(sold.status, StatusCode::OK, "{}", sold.body);
    let more = json!({ "round": "1", "product": "153", "amount": 150, "reason": "More came." });
    let more = console.post(&li, "/ops/api/proposals", &more).await.body;
    let proposal = format!("/ops/api/proposals/{}", more["id"]);
    let approve_more = async || {
        let path = format!("{proposal}/approve");
        console.post(&wang, &path, &json!({})).await
    };

    hear_west(&console.link, 6).await;
    is_site_unset(&rounds::step(&console, &wang, &waiting, "approve").await);
    let round = console.get(&li, "/ops/api/rounds/2").await.body;
    assert_eq!(round["state"], "submitted");
    is_site_unset(&approve_more().await);
    let shown = console.get(&li, &proposal).await.body;
    assert_eq!(shown["state"], "waiting", "{shown}");
    // An approval that was interrupted is not completed.
    let unpublished = "UPDATE rounds SET published_ms = NULL WHERE id = '1'";
    database::execute(&console.database_url, unpublished).await;
    is_site_unset(&rounds::step(&console, &wang, &sold.body, "publish").await);
    // What is on sale can be stopped, and goes on afterwards as it was.
    for step in ["pause", "resume"] {
        let path = format!("/ops/api/rounds/1/{step}");
        let done = console.post(&li, &path, &json!({})).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    }

    hear_west(&console.link, 8).await;
    let approved = rounds::step(&console, &wang, &waiting, "approve").await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.body);
    let approved = approve_more().await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.body);
    let fewer = json!({ "amount": 120 });
    hear_west(&console.link, 6).await;
    let lowered = console.post(&li, "/ops/api/stock/1/153", &fewer).await;
    assert_eq!(lowered.status, StatusCode::OK, "{}", lowered.body);
}
