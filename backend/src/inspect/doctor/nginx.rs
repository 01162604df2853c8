//! nginx and the module: what is installed, and what runs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::{Finding, signature};
use crate::config::Config;
use crate::inspect::masters::{Master, masters, program, reason, run};

/// The name under which nginx loads the module.
const MODULE: &str = "ngx_http_seckill_module.so";

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
