//! Figures of the process, by the names that every Prometheus client uses.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use super::{Kind, Text};

/// Writes what `/proc/self` says; what cannot be read is left out.
pub(super) fn write(text: &mut Text) {
    let unit = |variable| sysconf(variable).ok().flatten().unwrap_or(0) as f64;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(usage) = Usage::read(&stat) {
        let (ticks, page) = (unit(SysconfVar::CLK_TCK), unit(SysconfVar::PAGE_SIZE));
        text.family(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Processor time, in user and system mode.",
        )
        .sample(&[], usage.ticks as f64 / ticks.max(1.0));
        text.family(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory that is in use.",
        )
        .sample(&[], usage.pages as f64 * page);
        text.family("process_threads", Kind::Gauge, "Threads.")
            .sample(&[], usage.threads);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        text.family("process_open_fds", Kind::Gauge, "Open files and sockets.")
            .sample(&[], files.count());
    }
    use nix::sys::resource::{Resource, getrlimit};
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        text.family("process_max_fds", Kind::Gauge, "How many may be open.")
            .sample(&[], soft);
    }
}

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    ticks: u64,
    threads: u64,
    pages: u64,
}

impl Usage {
    /// Reads the line. The second field, a name in brackets, may hold anything.
    fn read(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        // proc(5) counts from 1, and the first field here is its third.
        Some(Self {
            ticks: number(14 - 3)? + number(15 - 3)?,
            threads: number(20 - 3)?,
            pages: number(24 - 3)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 0 0 0 0 0 11 22 0 0 20 0 5 0 1 1000 33 0";
        let usage = Usage {
            ticks: 33,
            threads: 5,
            pages: 33,
        };
        assert_eq!(Usage::read(stat), Some(usage));
        assert_eq!(Usage::read("7 (a"), None);
    }
}
