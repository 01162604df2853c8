//! Logging in at database servers, and whether that is encrypted, and for whom.

use std::path::{Path, PathBuf};
use std::process::Command;

use seckill::store::Store;
use tempfile::TempDir;

use crate::common::eventually;
use crate::common::mariadb::TestMariadb;
use crate::common::ports::free_row;
use crate::common::postgres::{PASSWORD, TestPostgres};

/// The password as it stands in a URL.
const WRITTEN: &str = "a%3Fb%2Fc%20d%40e";

async fn refusal(url: &str) -> String {
    match Store::open(url).await {
        Ok(_) => panic!("{url} is opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn it_logs_in_by_scram_and_says_what_is_wrong_without_the_password() {
    let server = TestPostgres::start().await;
    server.create("shop");
    let rule = "SELECT 1/count(*) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'";
    assert!(server.run(rule), "the password is kept for SCRAM");
    assert!(PASSWORD.contains('@'));
    let store = Store::open(&server.url_with(WRITTEN, "shop"))
        .await
        .unwrap();
    store.check_reachable().await.unwrap();
    let wrong = refusal(&server.url_with("s3cret", "shop")).await;
    assert!(
        wrong.contains("password authentication failed") && !wrong.contains("s3cret"),
        "{wrong}"
    );
    let missing = refusal(&server.url_with(WRITTEN, "missing")).await;
    assert!(
        missing.contains("\"missing\" does not exist") && missing.contains("may use the database"),
        "{missing}"
    );
    server.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let latin = refusal(&server.url("latin")).await;
    assert!(latin.contains("its encoding is LATIN1"), "{latin}");
}

/// An authority, a certificate by it for 127.0.0.1, and an authority that nobody knows.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn make() -> Self {
        let folder = TempDir::new().unwrap();
        for ca in ["ca", "stranger"] {
            openssl(
                folder.path(),
                &format!(
                    "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={ca}
                     -keyout {ca}.key -out {ca}.pem"
                ),
            );
        }
        openssl(
            folder.path(),
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=server
                 -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE
                 -CA ca.pem -CAkey ca.key -keyout server.key -out server.crt",
        );
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[tokio::test]
async fn sslmode_decides_whether_postgres_is_reached_by_tls_and_which_one() {
    let server = TestPostgres::start().await;
    server.create("shop");
    let url = |mode: &str| format!("{}?sslmode={mode}", server.url_with(WRITTEN, "shop"));
    let plain = refusal(&url("require")).await;
    assert!(
        plain.contains("does not support TLS") && plain.contains("turn TLS on at the server"),
        "{plain}"
    );

    let certificates = Certificates::make();
    for name in ["server.key", "server.crt"] {
        let there = server.folder().join("data").join(name);
        std::fs::copy(certificates.path(name), there).unwrap();
    }
    server.own(&["server.key", "server.crt"]);
    assert!(server.run("ALTER SYSTEM SET ssl = on"));
    assert!(server.run("SELECT pg_reload_conf()"));
    let by_tls = eventually("it takes TLS", || async {
        Store::open(&url("require")).await.ok()
    })
    .await;
    let encrypted = |count: &str| {
        format!(
            "SELECT 1/{count} FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = 'shop' AND ssl"
        )
    };
    assert!(server.run(&encrypted("count(*)")));
    by_tls.close().await;
    eventually("its connections are closed", || async {
        server.run(&encrypted("(count(*) = 0)::int")).then_some(())
    })
    .await;
    let without = Store::open(&url("disable")).await.unwrap();
    assert!(server.run(&encrypted("(count(*) = 0)::int")));
    without.close().await;
    // By itself, it is encrypted where it can be.
    let _by_itself = Store::open(&server.url_with(WRITTEN, "shop"))
        .await
        .unwrap();
    assert!(server.run(&encrypted("count(*)")));

    let known_by = |mode: &str, ca: &str| {
        format!(
            "{}&sslrootcert={}",
            url(mode),
            certificates.path(ca).display()
        )
    };
    Store::open(&known_by("verify-full", "ca.pem"))
        .await
        .unwrap();
    for stranger in [
        url("verify-full"),
        known_by("verify-full", "stranger.pem"),
        known_by("verify-ca", "stranger.pem"),
    ] {
        let error = refusal(&stranger).await;
        assert!(
            error.contains("invalid peer certificate: UnknownIssuer")
                && error.contains("sslrootcert=/path/to/ca.pem"),
            "{error}"
        );
    }
    let elsewhere = |mode: &str| known_by(mode, "ca.pem").replace("@127.0.0.1", "@localhost");
    let other_name = refusal(&elsewhere("verify-full")).await;
    assert!(
        other_name.contains("by a name in that certificate"),
        "{other_name}"
    );
    Store::open(&elsewhere("verify-ca")).await.unwrap();
    let missing = refusal(&known_by("verify-full", "missing.pem")).await;
    assert!(
        missing.contains("each file that the address names"),
        "{missing}"
    );
}

/// The server is MariaDB unless the script puts MySQL in its place.
#[tokio::test]
#[ignore = "needs a MySQL: scripts/test-mysql.sh"]
async fn of_mysql_8_a_password_is_not_sent_in_the_clear_and_the_cure_is_named() {
    let port = free_row(1);
    let server = TestMariadb::start_with(&[
        "--skip-networking=0".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
    ])
    .await;
    server.create("shop");
    for (user, by) in [
        ("new", "caching_sha2_password"),
        ("old", "mysql_native_password"),
    ] {
        assert!(server.run(&format!(
            "CREATE USER {user} IDENTIFIED WITH {by} BY 's3cret'; GRANT ALL ON shop.* TO {user}"
        )));
    }
    let url = |user: &str| format!("mysql://{user}:s3cret@127.0.0.1:{port}/shop");
    Store::open(&url("old")).await.unwrap();
    let refused = refusal(&url("new")).await;
    for part in ["caching_sha2_password", "add ?ssl-mode=required"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!refused.contains("s3cret"), "{refused}");
}

#[tokio::test]
async fn mariadb_is_reached_by_tls_only_if_the_address_says_so() {
    let certificates = Certificates::make();
    let file = |name: &str| certificates.path(name).display().to_string();
    let port = free_row(1);
    let server = TestMariadb::start_with(&[
        format!("--ssl-cert={}", file("server.crt")),
        format!("--ssl-key={}", file("server.key")),
        "--skip-networking=0".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
    ])
    .await;
    server.create("shop");
    assert!(server.run(
        "CREATE USER careful@127.0.0.1 REQUIRE SSL; GRANT ALL ON shop.* TO careful@127.0.0.1"
    ));
    // Where it is offered, but nobody asks for it: also at the socket.
    Store::open(&server.url("shop")).await.unwrap();
    let url = format!("mysql://careful@127.0.0.1:{port}/shop");
    let plain = refusal(&url).await;
    assert!(plain.contains("Access denied"), "{plain}");
    Store::open(&format!("{url}?ssl-mode=required"))
        .await
        .unwrap();
    let known_by = |ca: &str| format!("{url}?ssl-mode=verify_identity&ssl-ca={}", file(ca));
    Store::open(&known_by("ca.pem")).await.unwrap();
    let stranger = refusal(&known_by("stranger.pem")).await;
    assert!(
        stranger.contains("UnknownIssuer") && stranger.contains("ssl-ca=/path/to/ca.pem"),
        "{stranger}"
    );
}
