//! Drills that are interrupted.

use std::fs;
use std::process::Stdio;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::{eventually, program};

#[tokio::test]
async fn an_interrupted_drill_ends_all_that_it_has_started() {
    let home = TempDir::new().unwrap();
    let drills = home.path().join("t/drills");
    fs::create_dir_all(&drills).unwrap();
    let script = "#!/usr/bin/env bash\n# Stands for a sale that lasts.\n\
                  sleep 600 &\necho $! >server.new\nmv server.new server\nsleep 600\n";
    fs::write(drills.join("endless.sh"), script).unwrap();
    let drill = program()
        .args(["drill", "endless"])
        .env("SECKILL_HOME", home.path())
        .env("SECKILL_DATA", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let server = eventually("the script has started its server", || async {
        let text = fs::read_to_string(home.path().join("server")).ok()?;
        text.trim().parse().ok().map(Pid::from_raw)
    })
    .await;

    let id = Pid::from_raw(i32::try_from(drill.id()).unwrap());
    kill(id, Signal::SIGTERM).unwrap();
    let output = tokio::task::spawn_blocking(|| drill.wait_with_output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("the drill was interrupted"), "{said}");
    eventually("its server has ended", || async {
        (kill(server, None) == Err(Errno::ESRCH)).then_some(())
    })
    .await;
}
