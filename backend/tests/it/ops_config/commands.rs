//! Commands in a wrong place, given wrongly, or where others set variables: what they say,
//! and their exit status.

use std::process::Output;

use super::*;
use crate::common::program;

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
