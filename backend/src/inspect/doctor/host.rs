//! This machine: the settings, the key ring, the data folder, limits, the database.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};
use seckill_core::signing::keyring::Keyring;

use super::Finding;
use crate::config::Config;
use crate::store::Store;

/// The least free space in the data folder, in bytes.
const ROOM: u64 = 1_000_000_000;
/// The least number of open files: each buyer who waits has a connection.
const FILES: u64 = 4_096;

/// Looks at it.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![settings(config), keys(config), data(config), files()];
    findings.push(database(config).await);
    findings
}

fn settings(config: &Config) -> Finding {
    match config.warning() {
        Some(warning) => Finding::doubtful("settings", warning, "see: seckill config"),
        None => Finding::fine("settings", "they are accepted"),
    }
}

fn keys(config: &Config) -> Finding {
    let path = config.keys.display();
    let text = match fs::read_to_string(&config.keys) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Finding::doubtful(
                "keys",
                format!("{path} may not be read by this user"),
                "run this as root, or as a user in the group seckill",
            );
        }
        Err(error) => {
            return Finding::wrong(
                "keys",
                format!("{path} cannot be read ({error})"),
                "copy the key ring of the edge there; a first one: echo \"k1 $(openssl rand -hex 32)\"",
            );
        }
    };
    if let Err(error) = Keyring::parse(&text) {
        return Finding::wrong(
            "keys",
            format!("{path}: {error}"),
            "write lines of \"kid secret\"",
        );
    }
    let mode = fs::metadata(&config.keys).map_or(0, |it| it.permissions().mode());
    if mode & 0o007 != 0 {
        return Finding::wrong(
            "keys",
            format!("{path} is open to others, so that anybody here may sign purchases"),
            format!("chmod o= {path}"),
        );
    }
    Finding::fine("keys", format!("{path} is a key ring"))
}

fn data(config: &Config) -> Finding {
    let path = config.data.display();
    let stat = match statvfs(&config.data) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::doubtful(
                "data",
                format!("{path} is not there ({error})"),
                "it is made by the roles; --data or SECKILL_DATA names another folder",
            );
        }
    };
    let is_read_only = stat.flags().contains(FsFlags::ST_RDONLY);
    let may_write = access(&config.data, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    let free = stat.blocks_available() * stat.fragment_size();
    room(&config.data, is_read_only, may_write, free)
}

/// Whether the roles can write into the data folder.
fn room(path: &Path, is_read_only: bool, may_write: bool, free: u64) -> Finding {
    let path = path.display();
    if is_read_only {
        return Finding::wrong(
            "data",
            format!("{path} is on a file system that is mounted read-only"),
            "mount it for writing; the kernel's log says whether its disk has failed: dmesg",
        );
    }
    if !may_write {
        return Finding::doubtful(
            "data",
            format!("this user may not write into {path}"),
            "run this as the user of the roles, such as: sudo -u seckill seckill doctor; if that \
             says the same: chown it",
        );
    }
    let shown = free / 1_000_000;
    if free < ROOM {
        return Finding::doubtful(
            "data",
            format!("{path} has {shown} MB of free space"),
            "make room: orders and pages are written there",
        );
    }
    Finding::fine("data", format!("{path} has {shown} MB of free space"))
}

fn files() -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard < FILES => Finding::doubtful(
            "limits",
            format!("a process may open {hard} files here"),
            "raise it: LimitNOFILE=65536 in the unit, or ulimit -n",
        ),
        Ok((_, hard)) => Finding::fine("limits", format!("a process may open {hard} files")),
        Err(error) => Finding::doubtful("limits", format!("unknown ({error})"), "see: ulimit -Hn"),
    }
}

async fn database(config: &Config) -> Finding {
    let shown = crate::config::masked_url(&config.database_url);
    if config.missing_database().is_some() {
        return Finding::doubtful(
            "database",
            format!("{shown} does not exist yet"),
            "the orders role or the first import makes it",
        );
    }
    match Store::open_sharded(&config.database_url, &config.order_databases).await {
        Ok(store) => {
            store.close().await;
            Finding::fine("database", format!("{shown} serves"))
        }
        Err(error) => Finding::wrong(
            "database",
            error.to_string(),
            "start it, or correct the setting \"database_url\"; orders wait until then",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::doctor::Grade;

    #[test]
    fn a_data_folder_is_fine_only_if_it_can_be_written_into() {
        let grade = |is_read_only, may_write, free| {
            room(Path::new("/d"), is_read_only, may_write, free).grade
        };
        assert_eq!(grade(false, true, ROOM), Grade::Fine);
        assert_eq!(grade(false, true, ROOM - 1), Grade::Doubtful);
        assert_eq!(grade(false, false, ROOM), Grade::Doubtful);
        assert_eq!(grade(true, true, ROOM), Grade::Wrong);
    }
}
