//! Where this program's files are: finds the repository's files and the nginx module, so
//! that a clone runs without settings, and names the folders below the data folder.

use std::path::{Path, PathBuf};

use super::Config;

/// Where a package would put the shared files.
const INSTALLED_HOME: &str = "/usr/share/seckill";
/// Where Debian's nginx looks for modules.
const INSTALLED_MODULE: &str = "/usr/lib/nginx/modules/ngx_http_seckill_module.so";

/// The folder with `html/`, `conf/` and `examples/`: above the executable,
/// above the current folder, or where a package puts it.
pub(super) fn home() -> Option<PathBuf> {
    let starts = [std::env::current_exe().ok(), std::env::current_dir().ok()];
    starts
        .into_iter()
        .flatten()
        .find_map(|start| {
            start
                .ancestors()
                .find(|dir| is_home(dir))
                .map(Path::to_owned)
        })
        .or_else(|| Some(PathBuf::from(INSTALLED_HOME)).filter(|dir| is_home(dir)))
}

fn is_home(dir: &Path) -> bool {
    dir.join("html").is_dir() && dir.join("examples/sale.toml").is_file()
}

/// The nginx module: where `make module` puts it, beside the executable, or
/// among the system's modules.
pub(super) fn module(home: Option<&Path>) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    let built = executable
        .iter()
        .flat_map(|path| path.ancestors().skip(1).take(3))
        .flat_map(|dir| {
            [
                dir.join("nginx/ngx_http_seckill_module.so"),
                dir.join("ngx_http_seckill_module.so"),
            ]
        });
    let in_home = home.map(|home| home.join("target/nginx/ngx_http_seckill_module.so"));
    built
        .chain(in_home)
        .chain([PathBuf::from(INSTALLED_MODULE)])
        .find(|path| path.is_file())
}

impl Config {
    /// The folder of the sockets.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.data.join("run")
    }

    /// Logs of redis-server and nginx.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// Journals of purchases that wait for Redis.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Copies of the day's document, for when Redis is away.
    #[must_use]
    pub fn days_dir(&self) -> PathBuf {
        self.data.join("days")
    }

    /// Rendered pages: nginx's document root for them.
    #[must_use]
    pub fn pages_dir(&self) -> PathBuf {
        self.data.join("pages")
    }
}
