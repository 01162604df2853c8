//! Processes and ports.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

/// Below the ports that clients are given: a server that is killed finds its own free again.
const PORTS: Range<u16> = 12_000..32_000;
/// How many rows are looked at.
const ATTEMPTS: u32 = 1_000;

pub(super) fn pid_of(child: Option<&Child>) -> anyhow::Result<Pid> {
    let id = child.and_then(Child::id).context("it does not run")?;
    Ok(Pid::from_raw(i32::try_from(id)?))
}

pub(super) fn signal(child: Option<&Child>, which: Signal) -> anyhow::Result<()> {
    Ok(kill(pid_of(child)?, which)?)
}

/// Kills a process if it runs.
pub(super) async fn end(child: &mut Option<Child>) -> anyhow::Result<()> {
    if let Some(mut child) = child.take() {
        child.kill().await.context("it cannot be killed")?;
    }
    Ok(())
}

/// The children of a process that are called so.
pub(super) fn children(parent: Pid, name: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let stats =
        processes.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let mut found: Vec<Pid> = stats
        .filter_map(|stat| {
            let (head, rest) = stat.rsplit_once(") ")?;
            let (pid, comm) = head.split_once(" (")?;
            let mut fields = rest.split(' ');
            let (state, above) = (fields.next()?, fields.next()?);
            let is_it = comm == name && above.parse() == Ok(parent.as_raw()) && state != "Z";
            is_it.then(|| pid.parse().ok().map(Pid::from_raw))?
        })
        .collect();
    found.sort();
    found
}

/// The first of `count` neighbouring ports that nobody listens on.
pub(super) fn free_row(count: u16) -> anyhow::Result<u16> {
    for _ in 0..ATTEMPTS {
        let mut random = [0; 2];
        getrandom::fill(&mut random).context("there is no randomness")?;
        let last = PORTS.end - count;
        let first = PORTS.start + u16::from_be_bytes(random) % (last - PORTS.start);
        let mut row = first..first + count;
        if row.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(first);
        }
    }
    bail!("there are no {count} free ports in a row")
}

pub(super) fn free_port() -> anyhow::Result<u16> {
    free_row(1)
}
