//! nginx and the module: what is installed, and what runs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{Finding, signature};
use crate::config::Config;

/// How long nginx may take to look at a configuration.
const PATIENCE: Duration = Duration::from_secs(20);
/// The name under which nginx loads the module.
const MODULE: &str = "ngx_http_seckill_module.so";

/// A master process of nginx on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inspect) struct Master {
    pub(in crate::inspect) pid: u32,
    /// The file named by `-c`.
    pub(in crate::inspect) conf: Option<PathBuf>,
    /// The folder named by `-p`.
    pub(in crate::inspect) prefix: Option<PathBuf>,
}

impl Master {
    /// One that would have this configuration, or nginx's usual one; it does not run.
    pub(in crate::inspect) fn of_file(conf: Option<&Path>) -> Self {
        Self {
            pid: 0,
            conf: conf.map(Path::to_owned),
            prefix: None,
        }
    }
}

/// Looks at the module beside the installed nginx, and at each nginx that runs.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = match run(&config.nginx, &["-v"]).await {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(reason) => {
            findings.push(Finding::wrong(
                "nginx",
                format!("{} cannot be run ({reason})", config.nginx.display()),
                "apt-get install nginx, or name the program by the setting \"nginx\"; a machine \
                 without an edge: seckill doctor --no-edge",
            ));
            return findings;
        }
    };
    let version = version.rsplit(": ").next().unwrap_or_default().to_owned();
    findings.push(Finding::fine("nginx", format!("{version} is installed")));
    findings.push(match &config.module {
        None => Finding::wrong(
            "module",
            format!("there is no {MODULE}"),
            "apt-get install libnginx-mod-http-seckill, or make module; the setting \"module\" \
             names another place",
        ),
        Some(module) => loads(&config.nginx, module, &version).await,
    });
    for master in masters() {
        findings.extend(runs(&master));
    }
    findings
}

/// The verdict of nginx itself on the module.
async fn loads(nginx: &Path, module: &Path, version: &str) -> Finding {
    let shown = module.display();
    let tried = match try_to_load(nginx, module).await {
        Ok(output) => output,
        Err(reason) => {
            return Finding::doubtful(
                "module",
                format!("whether {shown} loads could not be tried ({reason})"),
                "run this again as a user that may write into the folder for temporary files",
            );
        }
    };
    if tried.status.success() {
        return Finding::fine("module", format!("{shown} fits {version}"));
    }
    let said = reason(&tried);
    let differences = differences(&program(nginx), module).join("; ");
    let differences = match differences.is_empty() {
        true => String::new(),
        false => format!(" ({differences})"),
    };
    Finding::wrong(
        "module",
        format!("{version} refuses {shown}: {said}{differences}"),
        "install the package libnginx-mod-http-seckill of this release, or build the module for \
         this nginx with: make module",
    )
}

async fn try_to_load(nginx: &Path, module: &Path) -> Result<Output, String> {
    let folder = std::env::temp_dir().join(format!("seckill-doctor-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let conf = folder.join("nginx.conf");
    let text = format!(
        "load_module \"{}\";\npid \"{}/pid\";\nerror_log stderr;\nevents {{}}\n",
        module.display(),
        folder.display()
    );
    let written = fs::File::create(&conf).and_then(|mut file| file.write_all(text.as_bytes()));
    let outcome = match written {
        Ok(()) => run(nginx, &["-t", "-c", &conf.display().to_string()]).await,
        Err(error) => Err(error.to_string()),
    };
    // What cannot be removed is in a folder for temporary files.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

/// An nginx that runs with the module: whether it runs what is installed.
fn runs(master: &Master) -> Option<Finding> {
    let proc = PathBuf::from(format!("/proc/{}", master.pid));
    let Ok(maps) = fs::read_to_string(proc.join("maps")) else {
        return Some(Finding::doubtful(
            "nginx",
            format!(
                "process {} belongs to another user and was not looked at",
                master.pid
            ),
            "run this as root",
        ));
    };
    let loaded = maps.lines().find(|line| line.contains(MODULE))?;
    let program = fs::read_link(proc.join("exe")).unwrap_or_default();
    let is_old = |path: &str| path.ends_with(" (deleted)");
    let pid = master.pid;
    if is_old(loaded) || is_old(&program.to_string_lossy()) {
        let what = if is_old(loaded) {
            "the previous module"
        } else {
            "the previous nginx"
        };
        return Some(Finding::doubtful(
            "nginx",
            format!("process {pid} still runs {what}, whose file was replaced"),
            format!(
                "service nginx upgrade, or kill -USR2 {pid} and, when the new one serves, kill \
                 -QUIT {pid}; a reload does not load another module"
            ),
        ));
    }
    let module = loaded.find('/').map(|at| PathBuf::from(&loaded[at..]))?;
    let found = differences(&program, &module);
    Some(match found.is_empty() {
        true => Finding::fine("nginx", format!("process {pid} runs what is installed")),
        false => Finding::wrong(
            "nginx",
            format!(
                "process {pid} and {} differ: {}",
                module.display(),
                found.join("; ")
            ),
            "restart nginx; if it does not start, install the module for this nginx",
        ),
    })
}

/// How the signatures of program and module differ; empty if they do not, or one has
/// none.
fn differences(program: &Path, module: &Path) -> Vec<String> {
    let (Ok(nginx), Ok(module)) = (fs::read(program), fs::read(module)) else {
        return Vec::new();
    };
    match (signature::find(&nginx), signature::find(&module)) {
        (Some(nginx), Some(module)) => signature::differences(nginx, module),
        _ => Vec::new(),
    }
}

/// Where the program is that this name means.
fn program(name: &Path) -> PathBuf {
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
pub(in crate::inspect) fn masters() -> Vec<Master> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            master(pid, &String::from_utf8_lossy(&line))
        })
        .collect()
}

/// The options that have a value.
const FLAGS: [&str; 4] = ["-c", "-p", "-e", "-g"];

/// Reads the title that a master gives its process: `nginx: master process` and the
/// command line.
fn master(pid: u32, title: &str) -> Option<Master> {
    let command = title.strip_prefix("nginx: master process ")?;
    // Arguments are joined by spaces, and a folder's name may have some.
    let after = |flag: &str| {
        let (_, rest) = command.split_once(&format!(" {flag} "))?;
        let ends = FLAGS.iter().filter_map(|it| rest.find(&format!(" {it} ")));
        let value = &rest[..ends.min().unwrap_or(rest.len())];
        Some(PathBuf::from(value.trim_end_matches([' ', '\0'])))
    };
    Some(Master {
        pid,
        conf: after("-c"),
        prefix: after("-p"),
    })
}

/// Why nginx refused something, in its own words, without its name, the time and its
/// process (`30606#30606: `).
pub(in crate::inspect) fn reason(output: &Output) -> String {
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
pub(in crate::inspect) async fn run(nginx: &Path, arguments: &[&str]) -> Result<Output, String> {
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
        assert_eq!(master(7, title), Some(found));
        assert_eq!(master(7, "nginx: worker process"), None);
        let plain = master(7, "nginx: master process /usr/sbin/nginx -g daemon on;\0").unwrap();
        assert_eq!(plain.conf, None);
        let spaces = "nginx: master process nginx -p /my shop/nginx -c /my shop/nginx.conf -g daemon off;\0\0";
        let spaces = master(7, spaces).unwrap();
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
