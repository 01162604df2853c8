//! nginx with the module, in front of everything.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use nix::sys::signal::Signal;

use super::child::Child;
use super::logs::Logs;
use super::supervised::Program;
use super::{PATIENCE, UpError, until_well};
use crate::config::{Config, Listen};

/// The generated top-level configuration.
mod conf;

/// How long nginx may take to check its configuration.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// nginx, ready to be started.
pub(super) struct Edge {
    program: PathBuf,
    arguments: [String; 6],
    folder: PathBuf,
    log: PathBuf,
    logs: Logs,
    address: Listen,
}

impl Edge {
    /// Finds nginx, the module and the repository's files, writes the configuration,
    /// and lets nginx check it.
    pub(super) async fn prepare(config: &Config) -> Result<Self, UpError> {
        let program = find_program(&config.nginx).ok_or_else(|| UpError::Missing {
            what: "nginx",
            searched: config.nginx.display().to_string(),
            cure: "install it with \"apt-get install nginx-light\", or name it with SECKILL_NGINX",
        })?;
        let module = config.module.as_deref().ok_or_else(|| UpError::Missing {
            what: "the nginx module",
            searched: "beside the executable and in nginx's own folder".to_owned(),
            cure: "build it with \"make module\", or name it with SECKILL_MODULE",
        })?;
        let home = config.home.as_deref().ok_or_else(|| UpError::Missing {
            what: "the folder with html/ and conf/",
            searched: "above the executable and above this folder".to_owned(),
            cure: "name it with SECKILL_HOME",
        })?;
        let folder = config.data.join("nginx");
        let log = config.logs_dir().join("edge.log");
        let file = folder.join("nginx.conf");
        write_private(&file, &conf::text(config, module, home)).map_err(|source| {
            UpError::Data {
                path: file.clone(),
                source,
            }
        })?;
        let origins = folder.join("seckill-origins");
        let written = std::fs::create_dir_all(&origins)
            .and_then(|()| std::fs::write(origins.join("shop.conf"), conf::origins(config)));
        written.map_err(|source| UpError::Data {
            path: origins,
            source,
        })?;
        let arguments = [
            "-c".to_owned(),
            file.display().to_string(),
            "-e".to_owned(),
            log.display().to_string(),
            "-p".to_owned(),
            format!("{}/", folder.display()),
        ];
        let edge = Self {
            program,
            arguments,
            folder,
            logs: Logs::new(
                vec![log.clone(), config.logs_dir().join("access.log")],
                config.log_mb,
            ),
            log,
            address: Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, config.port))),
        };
        edge.check_configuration(config).await?;
        Ok(edge)
    }

    /// Lets nginx check its configuration, so that its own message can be shown.
    async fn check_configuration(&self, config: &Config) -> Result<(), UpError> {
        let failed = |reason: String| UpError::Start {
            name: Self::NAME,
            reason,
        };
        let check = Command::new(&self.program)
            .arg("-t")
            .args(&self.arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(CHECK_PATIENCE, check)
            .await
            .map_err(|_| failed("checking its configuration took too long".to_owned()))?
            .map_err(|error| {
                failed(format!("{} cannot be run: {error}", self.program.display()))
            })?;
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let ports = [
            ("the edge", config.port, "SECKILL_PORT"),
            ("the console", config.console_port, "SECKILL_CONSOLE_PORT"),
        ];
        let mut ports = ports.into_iter();
        match ports.find(|(_, port, _)| is_forbidden(&stderr, *port)) {
            Some((part, port, variable)) => Err(UpError::PortForbidden {
                port,
                part,
                variable,
            }),
            None => Err(failed(complaint(&stderr))),
        }
    }
}

/// Whether nginx reports that it may not listen on this port.
fn is_forbidden(stderr: &str, port: u16) -> bool {
    let report = format!(":{port} failed (13: Permission denied)");
    stderr.lines().any(|line| line.contains(&report))
}

impl Program for Edge {
    const NAME: &'static str = "nginx";
    const REOPEN: Option<Signal> = Some(Signal::SIGUSR1);

    fn logs(&mut self) -> &mut Logs {
        &mut self.logs
    }

    fn spawn(&self) -> Result<Child, UpError> {
        Child::spawn(
            Self::NAME,
            &self.program,
            &self.arguments,
            &self.folder,
            &self.log,
        )
    }

    async fn until_healthy(&self, child: &mut Child) -> Result<(), UpError> {
        child
            .until(until_well(&self.address, "/api/time"), PATIENCE)
            .await
    }
}

/// What nginx complained of, without its closing line.
fn complaint(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.ends_with("test failed"))
        .map(|line| line.trim_start_matches("nginx: "))
        .collect();
    format!("it refuses its configuration:\n  {}", lines.join("\n  "))
}

/// The file holds Redis's password, if it has one.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// The program at this path, or of this name in the usual places. `/usr/sbin`
/// is among them: Debian puts nginx there, and it is not in every PATH.
pub(super) fn find_program(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name
            .is_file()
            .then(|| std::path::absolute(name).ok())
            .flatten();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_nginx_may_not_have_is_told_from_other_trouble() {
        let stderr = "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\n\
                      nginx: configuration file /c test failed\n";
        assert!(is_forbidden(stderr, 80));
        assert!(!is_forbidden(stderr, 8080));
        let other = "nginx: [emerg] open() \"/k:80\" failed (13: Permission denied)\n";
        assert!(!is_forbidden(other, 80));
    }

    #[test]
    fn nginx_is_quoted_without_its_own_noise() {
        let stderr = "nginx: [emerg] unknown directive \"seckil\" in /c:3\n\
                      nginx: configuration file /c test failed\n";
        let text = complaint(stderr);
        assert!(
            text.ends_with("[emerg] unknown directive \"seckil\" in /c:3"),
            "{text}"
        );
    }
}
