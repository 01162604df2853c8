//! Processes and ports.

use std::fs;
use std::net::TcpListener;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

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

pub(super) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}
