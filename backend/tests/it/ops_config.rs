//! Which layer wins, and how a value that makes no sense is refused.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;

use seckill::config::{Config, Given, Source, gather};
use tempfile::TempDir;

/// What a command takes over from the system that runs beside it.
mod beside;
/// Commands in a wrong place, given wrongly, or where others set variables.
mod commands;
mod secrets;

fn load(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.toml");
    std::fs::write(&path, file).unwrap();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let flags = flags
        .iter()
        .map(|(key, text)| {
            let source = Source::Flag(format!("--{key}"));
            (
                (*key).to_owned(),
                Given {
                    text: (*text).to_owned(),
                    source,
                },
            )
        })
        .collect();
    gather(Some(&path), &variables, flags)
        .and_then(Config::from_layers)
        .map_err(|error| error.to_string())
}

fn origin(config: &Config, key: &str) -> (String, String) {
    let setting = config
        .settings()
        .iter()
        .find(|setting| setting.key == key)
        .unwrap();
    (setting.value.clone(), setting.source.to_string())
}

#[test]
fn flags_beat_variables_beat_the_file_beats_defaults() {
    let config = load(
        "port = 1\nconsole_port = 2\norders_per_second = 3\n",
        &[("SECKILL_PORT", "11"), ("SECKILL_CONSOLE_PORT", "12")],
        &[("port", "21")],
    )
    .unwrap();
    assert_eq!(
        (config.port, config.console_port, config.orders_per_second),
        (21, 12, 3)
    );
    assert_eq!(config.in_flight_ms, 5_000);
    assert_eq!(origin(&config, "port"), ("21".into(), "--port".into()));
    assert_eq!(
        origin(&config, "console_port"),
        ("12".into(), "SECKILL_CONSOLE_PORT".into())
    );
    assert!(
        origin(&config, "orders_per_second")
            .1
            .ends_with("shop.toml:3")
    );
    assert_eq!(
        origin(&config, "in_flight_ms"),
        ("5000".into(), "default".into())
    );
}

/// A board that polls an edge where none is reports it away for ever.
#[test]
fn only_up_lists_an_edge_that_nobody_named() {
    let serve = load("", &[], &[]).unwrap();
    assert!(serve.edges.is_empty(), "{:?}", serve.edges);
    let mut up = load("", &[("SECKILL_PORT", "9000")], &[]).unwrap();
    up.list_own_edge();
    let (value, source) = origin(&up, "edges");
    assert_eq!(value, "http://127.0.0.1:9000/metrics");
    assert_eq!(source, "default");
    for named in ["http://10.0.0.1/metrics", "[]"] {
        let mut up = load("", &[("SECKILL_EDGES", named)], &[]).unwrap();
        let before = up.edges.clone();
        up.list_own_edge();
        assert_eq!(up.edges, before);
    }
}

#[test]
fn an_ipv6_address_at_the_end_of_a_list_keeps_its_bracket() {
    for (text, wanted) in [
        ("redis://[::1]", &["redis://[::1]"][..]),
        (
            "redis://a:1, redis://[::1]",
            &["redis://a:1", "redis://[::1]"],
        ),
        ("[redis://[::1]]", &["redis://[::1]"]),
        ("[\"redis://[::1]\"]", &["redis://[::1]"]),
    ] {
        let config = load("", &[("SECKILL_REDIS_SEGMENTS", text)], &[]).unwrap();
        assert_eq!(config.redis_segments, wanted, "{text}");
    }
    let (edge, peer) = ("http://[::1]", "west http://[::1]");
    let variables = [
        ("SECKILL_EDGES", edge),
        ("SECKILL_SITE", "east"),
        ("SECKILL_SITE_PEERS", peer),
        ("SECKILL_SITE_HOME", "west"),
        ("SECKILL_SITE_LISTEN", "127.0.0.1:7004"),
    ];
    let config = load("", &variables, &[]).unwrap();
    assert_eq!(config.edges[0].host(), Some("[::1]"));
    assert_eq!(config.site.unwrap().names(), ["east", "west"]);
}

#[test]
fn what_lies_in_the_data_folder_moves_with_it() {
    let config = load("", &[("SECKILL_DATA", "/srv/sale")], &[]).unwrap();
    assert_eq!(config.keys, PathBuf::from("/srv/sale/keys"));
    assert_eq!(config.database_url, "sqlite:/srv/sale/seckill.db");
    assert_eq!(config.redis_url, "unix:///srv/sale/run/redis.sock");
    assert_eq!(config.ops_listen.to_string(), "unix:/srv/sale/run/ops.sock");
    assert!(!config.redis_is_external);
}

#[test]
fn networks_that_are_not_what_was_meant_are_refused() {
    let allow = |list: &str| load("", &[("SECKILL_ANALYSIS_ALLOW", list)], &[]);
    for list in [
        "10.1.2.3/8",
        "203.0.113.7, 10.0.0.1/8",
        "0.0.0.0/0",
        "::/0",
        "x",
    ] {
        let error = allow(list).unwrap_err();
        assert!(error.contains("analysis_allow = "), "{list}: {error}");
        assert!(error.contains("analysis = off"), "{list}: {error}");
    }
    let config = allow("203.0.113.7, 10.0.0.0/8, fc00::/7, ::ffff:10.0.0.0/104").unwrap();
    assert_eq!(config.analysis.allow.len(), 4);
}

#[test]
fn a_misspelt_name_is_refused_with_the_right_one() {
    let error = load("prot = 1", &[], &[]).unwrap_err();
    assert!(
        error.contains("shop.toml:1 sets \"prot\"") && error.contains("\"port\"?"),
        "{error}"
    );
    let error = load("", &[("SECKILL_DEMOLOGIN", "on")], &[]).unwrap_err();
    assert!(
        error.contains("SECKILL_DEMOLOGIN") && error.contains("SECKILL_DEMO_LOGIN?"),
        "{error}"
    );
    load(
        "",
        &[("SECKILL_SOMETHING_ELSE", "1"), ("SECKILL_PORT", "")],
        &[],
    )
    .unwrap();
}

#[test]
fn a_wrong_value_is_error_with_key_value_origin_and_cure() {
    let cases = [
        ("port", "99999999", "a whole number from 1 to 65535"),
        ("port", "0", "a whole number from 1 to 65535"),
        ("demo_login", "maybe", "on or off"),
        ("time_zone", "Mars/Olympus", "Asia/Shanghai"),
        ("log_format", "xml", "human or json"),
        ("log", "loud", "error, warn, info"),
        ("ops_listen", "unix:relative", "127.0.0.1:9000"),
        ("edge_workers", "many", "\"auto\""),
        ("module", "/nowhere.so", "a file that is there"),
        ("data", "/srv/a\"b", "another folder"),
        ("data", "/srv/c#", "cannot take # % or ?"),
        ("data", "/srv/p%20q", "cannot take # % or ?"),
        ("data", "/srv/a?b", "cannot take # % or ?"),
        ("trace_ratio", "2", "a share from 0 to 1"),
    ];
    for (key, value, right) in cases {
        let variable = format!("SECKILL_{}", key.to_uppercase());
        let error = load("", &[(&variable, value)], &[]).unwrap_err();
        assert!(
            error.contains(&format!("{key} = \"{value}\" (from {variable})")),
            "{error}"
        );
        assert!(error.contains(right), "{error}");
    }
}

#[test]
fn the_demo_turns_the_login_on_unless_somebody_turned_it_off() {
    let mut config = load("", &[], &[]).unwrap();
    config.prepare_demo();
    assert_eq!(
        (config.demo_login, origin(&config, "demo_login").1),
        (true, "--demo".into())
    );
    let mut config = load("", &[("SECKILL_DEMO_LOGIN", "off")], &[]).unwrap();
    config.prepare_demo();
    assert!(!config.demo_login);
}

#[test]
fn single_sign_on_that_locks_everybody_out_or_lets_anybody_in_is_refused() {
    let issuer = ("SECKILL_CONSOLE_OIDC_ISSUER", "https://id.example.com/shop");
    let client = ("SECKILL_CONSOLE_OIDC_CLIENT_ID", "console");
    let with = |key, text| load("", &[issuer, client, (key, text)], &[]);
    let refused = |loaded: Result<Config, String>, key: &str| {
        let error = loaded.err().unwrap_or_else(|| panic!("{key} is taken"));
        assert!(error.contains(key), "{key}: {error}");
    };
    let only = ("SECKILL_CONSOLE_OIDC_ONLY", "on");
    refused(load("", &[only], &[]), "console_oidc_only");
    refused(load("", &[issuer], &[]), "console_oidc_client_id");
    // Everybody at the provider would have an account.
    let create = with("SECKILL_CONSOLE_OIDC_CREATE", "on");
    refused(create, "console_oidc_create");
    for bad in [
        "http://id.example.com",
        "https://id.example.com?tenant=1",
        "https://id.example.com#x",
        "https://user:password@id.example.com",
        "id.example.com",
    ] {
        refused(
            load("", &[client, (issuer.0, bad)], &[]),
            "console_oidc_issuer",
        );
    }
    for (key, bad) in [
        (
            "SECKILL_CONSOLE_URL",
            "https://console.example.com/console/",
        ),
        ("SECKILL_CONSOLE_URL", "https://user@console.example.com"),
        ("SECKILL_CONSOLE_URL", "ftp://console.example.com"),
        ("SECKILL_CONSOLE_URL", "console.example.com"),
        ("SECKILL_CONSOLE_OIDC_SCOPE", "profile email"),
        ("SECKILL_CONSOLE_OIDC_OPERATORS", "ops,,night"),
        ("SECKILL_CONSOLE_OIDC_ROLE_CLAIM", "a claim"),
        ("SECKILL_CONSOLE_OIDC_BREAK_GLASS", "two words"),
    ] {
        let name = key.trim_start_matches("SECKILL_").to_lowercase();
        refused(with(key, bad), &name);
    }

    let secret = "the console's secret";
    let config = with("SECKILL_CONSOLE_OIDC_CLIENT_SECRET", secret).unwrap();
    let (shown, _) = origin(&config, "console_oidc_client_secret");
    assert_eq!(shown, "******");
    assert!(!format!("{config:?}").contains(secret));
    assert_eq!(config.console_url, "http://localhost:8081");
    let settings = config.console_oidc.unwrap();
    assert_eq!(settings.name, "id.example.com");
    assert!(!settings.only && !settings.creates && !settings.roles.decides());
}
