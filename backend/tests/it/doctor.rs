//! `seckill doctor` on real parts: a sound system has nothing wrong, and what an
//! operator gets wrong is named with its cure.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::TestRedis;

/// Two of Debian's modules, which `make test` installs.
const SOMEBODYS_MODULE: &str = "/usr/lib/nginx/modules/ndk_http_module.so";

struct Machine {
    redis: TestRedis,
    folder: TempDir,
}

impl Machine {
    async fn new() -> Self {
        let machine = Self {
            redis: TestRedis::start().await,
            folder: TempDir::new().unwrap(),
        };
        machine
            .configure_redis("maxmemory-policy", "noeviction")
            .await;
        let ring = machine.folder.path().join("keys");
        fs::write(&ring, format!("k1 {}\n", "a".repeat(64))).unwrap();
        fs::set_permissions(&ring, Permissions::from_mode(0o640)).unwrap();
        machine
    }

    async fn configure_redis(&self, name: &str, value: &str) {
        let mut conn = self.redis.link().await.conn().await.unwrap();
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        set.exec_async(&mut conn).await.unwrap();
    }

    fn doctor(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_seckill"))
            .args(["doctor", "--json"])
            .args(arguments)
            .env("SECKILL_DATA", self.folder.path())
            .env("SECKILL_REDIS_URL", self.redis.url())
            .output()
            .unwrap()
    }

    /// What was found of this subject with this grade, and the cures.
    fn found(output: &Output, subject: &str, grade: &str) -> Vec<String> {
        let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let findings = report["findings"].as_array().unwrap();
        let findings = findings
            .iter()
            .filter(|it| it["subject"] == subject && it["grade"] == grade);
        let said = findings.map(|it| {
            let cure = it["cure"].as_str().unwrap_or_default();
            format!("{} | {cure}", it["found"].as_str().unwrap())
        });
        said.collect()
    }
}

#[tokio::test]
async fn a_sound_back_end_has_nothing_wrong() {
    let machine = Machine::new().await;
    let output = machine.doctor(&["--no-edge"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(Machine::found(&output, "redis", "fine").len(), 1, "{said}");
    assert_eq!(Machine::found(&output, "keys", "fine").len(), 1, "{said}");
}

#[tokio::test]
async fn a_redis_that_may_drop_stock_is_wrong() {
    let machine = Machine::new().await;
    machine
        .configure_redis("maxmemory-policy", "allkeys-lru")
        .await;
    let output = machine.doctor(&["--no-edge"]);
    assert_eq!(output.status.code(), Some(1));
    let wrong = Machine::found(&output, "redis", "wrong");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("CONFIG SET maxmemory-policy noeviction"),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn a_redis_that_is_away_is_wrong() {
    let mut machine = Machine::new().await;
    machine.redis.kill();
    let output = machine.doctor(&["--no-edge"]);
    assert_eq!(output.status.code(), Some(1));
    let wrong = Machine::found(&output, "redis", "wrong");
    assert!(wrong[0].contains("cannot be reached"), "{wrong:?}");
    assert!(
        wrong[0].contains("purchases wait in the journal"),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn a_key_ring_that_anybody_may_read_is_wrong() {
    let machine = Machine::new().await;
    let ring = machine.folder.path().join("keys");
    fs::set_permissions(&ring, Permissions::from_mode(0o644)).unwrap();
    let wrong = Machine::found(&machine.doctor(&["--no-edge"]), "keys", "wrong");
    assert!(
        wrong[0].ends_with(&format!("chmod o= {}", ring.display())),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn a_module_that_nginx_refuses_is_named_with_the_flag_that_differs() {
    let machine = Machine::new().await;
    let module = format!("--set=module={SOMEBODYS_MODULE}");
    let fine = Machine::found(&machine.doctor(&[&module]), "module", "fine");
    assert!(fine[0].contains("fits nginx/"), "{fine:?}");

    let other = machine.folder.path().join("other.so");
    without_compat(Path::new(SOMEBODYS_MODULE), &other);
    let module = format!("--set=module={}", other.display());
    let output = machine.doctor(&[&module]);
    assert_eq!(output.status.code(), Some(1));
    let wrong = Machine::found(&output, "module", "wrong");
    assert!(wrong[0].contains("is not binary compatible"), "{wrong:?}");
    assert!(
        wrong[0].contains("--with-compat: nginx has it, the module was built without"),
        "{wrong:?}"
    );
}

/// The same module, as if it had been built without `--with-compat`.
fn without_compat(module: &Path, other: &Path) {
    let mut bytes = fs::read(module).unwrap();
    let signature = seckill::inspect::doctor::signature::find(&bytes)
        .unwrap()
        .to_owned();
    let at = bytes
        .windows(signature.len())
        .position(|window| window == signature.as_bytes())
        .unwrap();
    bytes[at + signature.len() - 1] = b'0';
    fs::write(other, bytes).unwrap();
}
