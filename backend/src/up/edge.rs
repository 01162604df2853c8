//! nginx with the module, in front of everything.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::child::Child;
use super::{PATIENCE, UpError, until_well};
use crate::config::{Config, Listen};

/// The generated top-level configuration.
mod conf;

const NAME: &str = "nginx";
/// How long nginx may take to check its configuration.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);

/// Everything nginx needs, found before anything is started.
pub(super) struct Plan {
    program: PathBuf,
    module: PathBuf,
    home: PathBuf,
}

impl Plan {
    /// Finds nginx, the module and the repository's files, and checks the port.
    pub(super) fn check(config: &Config) -> Result<Self, UpError> {
        for (port, variable) in [
            (config.port, "SECKILL_PORT"),
            (config.console_port, "SECKILL_CONSOLE_PORT"),
        ] {
            if !is_free(port) {
                return Err(UpError::PortTaken { port, variable });
            }
        }
        let program = find_program(&config.nginx).ok_or_else(|| UpError::Missing {
            what: "nginx",
            looked: config.nginx.display().to_string(),
            cure: "install it with \"apt-get install nginx-light\", or name it with SECKILL_NGINX",
        })?;
        let module = config.module.clone().ok_or_else(|| UpError::Missing {
            what: "the nginx module",
            looked: "beside the executable and in nginx's own folder".to_owned(),
            cure: "build it with \"make module\", or name it with SECKILL_MODULE",
        })?;
        let home = config.home.clone().ok_or_else(|| UpError::Missing {
            what: "the folder with html/ and conf/",
            looked: "above the executable and above this folder".to_owned(),
            cure: "name it with SECKILL_HOME",
        })?;
        Ok(Self {
            program,
            module,
            home,
        })
    }

    /// Starts nginx and waits until the module answers.
    pub(super) async fn start(self, config: &Config) -> Result<Child, UpError> {
        let folder = config.data.join("nginx");
        let file = folder.join("nginx.conf");
        let log = config.logs_dir().join("edge.log");
        let text = conf::text(config, &self.module, &self.home);
        write_private(&file, &text).map_err(|source| UpError::Data {
            path: file.clone(),
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
        self.try_configuration(&arguments).await?;
        let mut child = Child::spawn(NAME, &self.program, &arguments, &folder, &log)?;
        let address = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, config.port)));
        let started = child
            .until(until_well(&address, "/api/time"), PATIENCE)
            .await;
        if let Err(error) = started {
            child.stop(nix::sys::signal::Signal::SIGTERM).await;
            return Err(error);
        }
        Ok(child)
    }

    /// Lets nginx check its configuration, so that its own words can be shown.
    async fn try_configuration(&self, arguments: &[String]) -> Result<(), UpError> {
        let failed = |reason: String| UpError::Start { name: NAME, reason };
        let check = Command::new(&self.program)
            .arg("-t")
            .args(arguments)
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
        Err(failed(complaint(&String::from_utf8_lossy(&output.stderr))))
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

/// Whether nobody listens on this port.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
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
/// is among them, where Debian puts nginx and not everybody looks.
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
