//! The nginx that run on this machine, and nginx itself, asked about a configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// How long nginx may take to look at a configuration.
const PATIENCE: Duration = Duration::from_secs(20);

/// A master process of nginx on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) pid: u32,
    /// The file named by `-c`, which nginx looks up in the folder of `-p`.
    pub(super) conf: Option<PathBuf>,
    /// The folder named by `-p`.
    pub(super) prefix: Option<PathBuf>,
}

impl Master {
    /// One that would have this configuration, or nginx's usual one; it does not run. A
    /// relative name is meant from here, where nginx would take a folder of its own.
    pub(super) fn of_file(conf: Option<&Path>) -> Self {
        let absolute = |conf: &Path| std::path::absolute(conf).unwrap_or_else(|_| conf.to_owned());
        Self {
            pid: 0,
            conf: conf.map(absolute),
            prefix: None,
        }
    }
}

/// Where the program is that this name means.
pub(super) fn program(name: &Path) -> PathBuf {
    if name.components().count() > 1 {
        return name.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push(PathBuf::from("/usr/sbin"));
    let found = folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| name.to_owned())
}

/// Every master process of nginx that can be seen.
pub(super) fn masters() -> Vec<Master> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            master(pid, &String::from_utf8_lossy(&line), &folder)
        })
        .collect()
}

/// The options that have a value.
const FLAGS: [&str; 4] = ["-c", "-p", "-e", "-g"];

/// Reads the title that a master gives its process: `nginx: master process` and the
/// command line, given in `folder`.
fn master(pid: u32, title: &str, folder: &Path) -> Option<Master> {
    let command = title.strip_prefix("nginx: master process ")?;
    // Arguments are joined by spaces, and a folder's name may have some.
    let after = |flag: &str| {
        let (_, rest) = command.split_once(&format!(" {flag} "))?;
        let ends = FLAGS.iter().filter_map(|it| rest.find(&format!(" {it} ")));
        let value = &rest[..ends.min().unwrap_or(rest.len())];
        Some(PathBuf::from(value.trim_end_matches([' ', '\0'])))
    };
    // Without the "." of "-p .", which people would only read over.
    let prefix = after("-p").map(|it| folder.join(it).components().collect::<PathBuf>());
    let conf = after("-c").map(|it| match &prefix {
        Some(prefix) => prefix.join(it),
        None => it,
    });
    Some(Master { pid, conf, prefix })
}

/// Why nginx refused something, in its own words, without its name, the time and its
/// process (`30606#30606: `).
pub(super) fn reason(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().find_map(|line| line.split_once("[emerg] "));
    let Some((_, said)) = said else {
        return "it gave no reason".to_owned();
    };
    let is_process = |word: &str| word.bytes().all(|it| it.is_ascii_digit() || it == b'#');
    match said.split_once(": ") {
        Some((process, rest)) if is_process(process) => rest.to_owned(),
        _ => said.to_owned(),
    }
}

/// Runs nginx.
pub(super) async fn run(nginx: &Path, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(program(nginx))
        .args(arguments)
        .kill_on_drop(true)
        .output();
    match timeout(PATIENCE, output).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no end within {PATIENCE:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_known_by_its_title_and_says_where_its_configuration_is() {
        let title = "nginx: master process /usr/sbin/nginx -c /d/nginx.conf -p /d\0";
        let found = Master {
            pid: 7,
            conf: Some("/d/nginx.conf".into()),
            prefix: Some("/d".into()),
        };
        let master = |title: &str| master(7, title, Path::new("/d"));
        assert_eq!(master(title), Some(found));
        assert_eq!(master("nginx: worker process"), None);
        for relative in ["-c nginx.conf -p /d", "-p . -c nginx.conf"] {
            let title = format!("nginx: master process nginx {relative}\0");
            let conf = master(&title).unwrap().conf;
            assert_eq!(conf, Some("/d/nginx.conf".into()), "{title}");
        }
        let plain = master("nginx: master process /usr/sbin/nginx -g daemon on;\0").unwrap();
        assert_eq!(plain.conf, None);
        let spaces = "nginx: master process nginx -p /my shop/nginx -c /my shop/nginx.conf -g daemon off;\0\0";
        let spaces = master(spaces).unwrap();
        assert_eq!(spaces.conf, Some("/my shop/nginx.conf".into()));
        assert_eq!(spaces.prefix, Some("/my shop/nginx".into()));
    }

    #[test]
    fn nginx_is_quoted_without_its_process() {
        use std::os::unix::process::ExitStatusExt as _;
        let said = |stderr: &str| {
            reason(&Output {
                status: std::process::ExitStatus::from_raw(256),
                stdout: Vec::new(),
                stderr: stderr.into(),
            })
        };
        let emerg = "open() \"/my\" failed (2: No such file or directory)";
        for before in [
            "nginx: [emerg] ",
            "2026/11/30 10:00:00 [emerg] 30606#30606: ",
        ] {
            assert_eq!(said(&format!("nginx: [warn] x\n{before}{emerg}\n")), emerg);
        }
        assert_eq!(said(""), "it gave no reason");
    }
}
