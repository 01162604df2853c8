//! What a command takes over from the system that runs beside it.

use seckill::config::gather_beside;
use seckill::config::running::RunningSystem;

use super::*;

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
