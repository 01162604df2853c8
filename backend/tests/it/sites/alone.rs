//! Commands and consoles that were not told of the other sites. A sale file that does not
//! name them would be sold whole at each.

use std::path::Path;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use seckill::stock::sites::messages;
use seckill::store::accounts::Role;
use seckill_core::keys;
use serde_json::json;
use tempfile::TempDir;

use super::place::Pair;
use crate::common::console::Console;
use crate::common::{eventually, now_ms, program};

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
        !went_well && said.contains("nothing was approved"),
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
}

#[tokio::test]
async fn a_console_without_its_site_imports_no_file_until_the_others_are_forgotten() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let import = async || {
        let import = console.request(Method::POST, "/ops/api/rounds/import");
        import.of(&li).bytes(SALE.into()).send().await
    };
    let heard = async |at_ms: u64| {
        let heard = json!({ "at_ms": at_ms, "asked_ms": at_ms, "items": [] });
        let mut set = redis::cmd("HSET");
        set.arg(keys::SITE_REPORTS)
            .arg("west")
            .arg(heard.to_string());
        let mut conn = console.link.conn().await.unwrap();
        set.exec_async(&mut conn).await.unwrap();
    };
    heard(now_ms() - 6 * 86_400_000).await;
    let refused = import().await;
    let mistake = &refused.body["mistakes"][0];
    assert_eq!(
        (refused.status, &mistake["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("site_unset"))
    );
    assert!(mistake["message"].as_str().unwrap().contains("west"));
    heard(now_ms() - 8 * 86_400_000).await;
    let imported = import().await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.body);
}
