//! Finds the repository's files and the nginx module, so that a clone runs
//! without settings.

use std::path::{Path, PathBuf};

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
