//! The processes of a group, such as an nginx master and its workers.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::POLL;

/// How long processes that were asked to end may take.
const ASKED: Duration = Duration::from_millis(700);
/// How long the kernel may take to end processes that were killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends what is left of a group whose leader has ended, and waits until it is gone:
/// workers that outlive their master hold its port. They are asked first, since a
/// worker that ends by itself returns what it holds of the sale.
pub(super) async fn kill(group: Pid) {
    for (signal, patience) in [(Signal::SIGTERM, ASKED), (Signal::SIGKILL, PATIENCE)] {
        if !has_living(group) {
            return;
        }
        let _ = killpg(group, signal);
        let deadline = Instant::now() + patience;
        while has_living(group) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Whether a process of this group runs. One that has ended and that nobody has
/// waited for does not: its sockets are closed.
fn has_living(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    processes
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .any(|stat| living_group(&stat) == Some(group.as_raw()))
}

/// The group of the process that this line of `/proc/PID/stat` describes; `None` if
/// it has ended.
fn living_group(stat: &str) -> Option<i32> {
    // The name before it may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_read_whatever_its_name_is() {
        assert_eq!(living_group("71 (nginx) S 1 70 70 0 -1"), Some(70));
        assert_eq!(living_group("71 (a) Z 9) R 1 72 70 0 -1"), Some(72));
        assert_eq!(living_group("71 (nginx) Z 1 70 70 0 -1"), None);
        assert_eq!(living_group("nonsense"), None);
    }

    #[tokio::test]
    async fn a_killed_group_is_gone_when_kill_returns() {
        use std::os::unix::process::CommandExt as _;
        let mut leader = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & exec sleep 60"])
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Pid::from_raw(i32::try_from(leader.id()).unwrap());
        assert!(has_living(group));
        kill(group).await;
        assert!(!has_living(group));
        leader.wait().unwrap();
    }
}
