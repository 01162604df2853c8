//! Which layer wins, and how a value that makes no sense is refused.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::PathBuf;
use std::process::Output;

use seckill::config::running::RunningSystem;
use seckill::config::{Config, Given, Source, gather, gather_beside};
use tempfile::TempDir;

use crate::common::program;

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

#[test]
fn a_running_system_is_stronger_than_the_file_and_weaker_than_variables() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.toml");
    std::fs::write(&path, "data = \"/srv/sale\"\nport = 1\nconsole_port = 2\n").unwrap();
    let variables = [("SECKILL_CONSOLE_PORT".to_owned(), "12".to_owned())];
    let own_redis = "unix:///srv/sale/run/redis.sock";
    let settings = [
        ("port", "31"),
        ("console_port", "32"),
        ("redis_url", own_redis),
        ("site_rate", "7"),
        ("log", "debug"),
        ("no_setting_of_ours", "1"),
    ];
    let running = RunningSystem {
        pid: 1,
        started_ms: 1,
        edge: true,
        settings: settings
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    let given = gather_beside(Some(&path), &variables, Vec::new(), |data| {
        assert_eq!(data, PathBuf::from("/srv/sale"));
        Some(running)
    });
    let config = Config::from_layers(given.unwrap()).unwrap();
    assert_eq!((config.port, config.console_port), (31, 12));
    assert_eq!(
        origin(&config, "port").1,
        "running system, /srv/sale/run/up.json"
    );
    assert_eq!(config.site_rate, 7);
    assert_eq!(config.log, "info", "a command has its own");
    assert!(!config.redis_is_external, "it is that system's own Redis");
    assert_eq!(config.redis_url, own_redis);
}

/// What a command without settings of its own finds beside this system.
fn beside(system: &Config) -> Config {
    let running = RunningSystem {
        pid: 1,
        started_ms: 1,
        edge: true,
        settings: system.in_force().clone(),
    };
    let found = gather_beside(None, &[], Vec::new(), |_| Some(running)).unwrap();
    Config::from_layers(found).unwrap()
}

#[test]
fn a_command_beside_a_system_takes_over_all_of_its_settings() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("smtp");
    std::fs::write(&secret, "smtp://li:s3cret@h:25\n").unwrap();
    let mut system = load(
        "time_zone = \"Pacific/Auckland\"\nsite_rate = 70_000\nlog = \"debug\"\nkeys = \"own/keys\"\n\
         access_logs = [\"a.log\", \"b.log\"]\njwt_jwks = \"jwks.json\"\nnginx = \"sbin/nginx\"\n",
        &[
            ("SECKILL_SITE", "east"),
            ("SECKILL_SITE_PEERS", "[\"west http://10.1.0.5:7004\"]"),
            ("SECKILL_SITE_HOME", "east"),
            ("SECKILL_SITE_LISTEN", "127.0.0.1:7004"),
            ("SECKILL_INVENTORY_URL", "https://stock.example.com/holds"),
            ("SECKILL_STATUS_LISTEN", "127.0.0.1:7005"),
            ("SECKILL_NOTIFY_SMTP_FILE", secret.to_str().unwrap()),
        ],
        &[],
    )
    .unwrap();
    system.prepare_demo();
    let text = format!("{:?}", system.in_force());
    assert!(!text.contains("s3cret"), "it stays in its file: {text}");
    let command = beside(&system);
    assert_eq!(command.site.as_ref().unwrap().names(), ["east", "west"]);
    assert_eq!(command.inventory_url, system.inventory_url);
    assert_eq!(command.time_zone, system.time_zone);
    assert!(command.demo_login, "--demo turned it on");
    for own in ["log", "status_listen", "data", "config"] {
        assert_eq!(origin(&command, own).1, "default", "{own}");
    }
    let differing: Vec<_> = system
        .settings()
        .iter()
        .filter(|it| origin(&command, it.key).0 != it.value)
        .map(|it| it.key)
        .collect();
    assert_eq!(differing, ["status_listen", "log", "config"]);
    for path in ["keys", "access_logs", "jwt_jwks", "nginx"] {
        let written = &system.in_force()[path];
        assert!(written.starts_with('/'), "{path}: {written}");
    }
}

#[test]
fn what_a_system_was_started_with_and_is_gone_keeps_no_command_from_it() {
    let folder = TempDir::new().unwrap();
    let module = folder.path().join("module.so");
    std::fs::write(&module, "").unwrap();
    let given = [("SECKILL_MODULE", module.to_str().unwrap())];
    let system = load("", &given, &[]).unwrap();
    assert_eq!(beside(&system).module, Some(module.clone()));
    std::fs::remove_file(&module).unwrap();
    assert_ne!(beside(&system).module, Some(module));
}

#[test]
fn the_addresses_of_a_system_are_those_that_others_read_back() {
    let mut config = load(
        "redis_segments = [\"redis://a:1\", \"redis://b:2\"]\nport = 9000\n",
        &[("SECKILL_DATABASE_URL", "mysql://li:s3cret@h/shop")],
        &[],
    )
    .unwrap();
    config.list_own_edge();
    let found = beside(&config);
    assert_eq!(found.in_force(), config.in_force());
    assert_eq!(found.port, 9000);
    assert_eq!(found.redis_segments, ["redis://a:1", "redis://b:2"]);
    assert_eq!(found.database_url, "mysql://li:s3cret@h/shop");
    assert_eq!(found.edges[0].to_string(), "http://127.0.0.1:9000/metrics");
    assert!(!found.redis_is_external);
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

fn seckill(arguments: &[&str]) -> Output {
    seckill_with(&[], arguments)
}

fn seckill_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    program()
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .env("SECKILL_DATA", folder.path().join("data"))
        .output()
        .unwrap()
}

#[test]
fn the_exit_status_tells_a_failure_from_a_slip_of_the_hand() {
    let cases: [(&[&str], i32, &str); 7] = [
        (&["config"], 0, ""),
        (&["sale", "export"], 1, "is not running"),
        (&["--set", "prot=1", "config"], 2, "did you mean \"port\"?"),
        (
            &["serve", "--roles", "purchse"],
            2,
            "did you mean \"purchase\"?",
        ),
        (&["nonsense"], 2, "unrecognized subcommand"),
        (&["sale", "import", "/nowhere.toml"], 1, "/nowhere.toml"),
        (&["status"], 1, "\"seckill up\" starts them"),
    ];
    for (arguments, code, words) in cases {
        let output = seckill(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(
            !error.contains("Error {") && !error.contains("backtrace"),
            "{error}"
        );
    }
}

/// Only what begins a system makes a database: an empty one in a wrong folder would be
/// reported as if all were well.
#[test]
fn a_command_in_a_wrong_folder_makes_no_database() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("tpyo");
    let commands: [&[&str]; 10] = [
        &["accounts", "add", "bob", "--role", "supervisor"],
        &["accounts", "list"],
        &["round", "withdraw", "noon", "--cancel", "all"],
        &["orders", "export"],
        &["orders", "list"],
        &["sale", "export"],
        &["findings", "list"],
        &["retention"],
        &["notices", "list"],
        &["verify", "--archived"],
    ];
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = program();
        let command = command.args(arguments).envs(variables.iter().copied());
        let output = command.env("SECKILL_DATA", &data).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    };
    for arguments in commands {
        let (code, error) = run(arguments, &[]);
        assert_eq!(code, Some(1), "{arguments:?}: {error}");
        let said = error.contains(&format!("the system in {} is not running", data.display()))
            && error.contains("--data");
        assert!(said, "{arguments:?}: {error}");
        assert!(!data.exists(), "{arguments:?}");
    }
    let file = folder.path().join("own.db");
    let url = format!("sqlite:{}", file.display());
    let own = [("SECKILL_DATABASE_URL", url.as_str())];
    let (code, error) = run(&["orders", "list"], &own);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("own.db") && error.contains("database_url") && !file.exists(),
        "{error}"
    );
    // Accounts may be there before the first start, where the address was written.
    let (_, error) = run(&["accounts", "add", "bob", "--role", "supervisor"], &own);
    assert!(file.exists(), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_named_in_one_line_with_its_cure() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.db");
    std::fs::write(&file, "no database, but a text ".repeat(100)).unwrap();
    for (path, said) in [
        (file.as_path(), "is no database of SQLite"),
        (folder.path(), "is a folder"),
    ] {
        let url = format!("sqlite:{}", path.display());
        let output = seckill_with(&[("SECKILL_DATABASE_URL", &url)], &["orders", "list"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.contains(said) && error.contains(&path.display().to_string()),
            "{error}"
        );
    }
}

#[test]
fn a_bad_key_ring_is_reported_with_its_line_and_cure() {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "\nk1 short\n").unwrap();
    let keys = [("SECKILL_KEYS", keys.to_str().unwrap())];
    let output = seckill_with(&keys, &["session", "mint", "li"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("line 2") && error.contains("openssl rand"),
        "{error}"
    );
}

#[test]
fn variables_that_kubernetes_sets_do_no_harm() {
    let link = "tcp://10.0.0.1:8080";
    let output = seckill_with(
        &[
            ("SECKILL_PORT", link),
            ("SECKILL_SERVICE_HOST", "10.0.0.1"),
            ("SECKILL_SERVICE_PORT", "8080"),
            ("SECKILL_PORT_8080_TCP", link),
            ("SECKILL_PORT_8080_TCP_PORT", "8080"),
        ],
        &["config"],
    );
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{stderr}");
    let port = stdout.lines().find(|line| line.starts_with("port "));
    assert!(port.unwrap().contains("8080"), "{stdout}");
    assert!(port.unwrap().contains("default"), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains("SECKILL_PORT=tcp://10.0.0.1:8080 ignored"),
        "{stderr}"
    );
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
