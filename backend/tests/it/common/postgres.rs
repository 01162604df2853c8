//! A PostgreSQL server of the test's own, without the system's service.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Pid, User};
use seckill::store::Store;
use tempfile::TempDir;

use super::eventually;
use super::ports::free_row;

/// The password of the user `seckill`, by which it logs in over TCP; at the socket,
/// whoever may open it needs none.
pub const PASSWORD: &str = "a?b/c d@e";

/// A postgres on a socket in a folder of its own and on a port of this machine, gone when
/// dropped.
pub struct TestPostgres {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl TestPostgres {
    /// Makes the system tables in a new folder, starts a server on them, and waits until
    /// it answers.
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        // The folder is its user's, which other users may look into for the socket.
        own(folder.path());
        own(&password);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut initdb = program("initdb");
        initdb.args(["--username=seckill", "--encoding=UTF8", "--no-sync"]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256"]);
        // A collation in which the order of texts is not that of their bytes.
        initdb.args([
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=en",
        ]);
        initdb.arg(format!("--pwfile={}", password.display()));
        initdb.arg(format!("--pgdata={}", folder.path().join("data").display()));
        let made = initdb.stdin(Stdio::null()).output();
        let made = made.expect("postgresql is installed: scripts/install.sh test");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = free_row(1);
        let child = spawn(folder.path(), port);
        let server = Self {
            folder,
            port,
            child,
        };
        server.until_ready().await;
        server
    }

    /// The address of a database on it, by its socket.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://seckill@localhost:{}/{database}?host={}",
            self.port,
            self.folder.path().display()
        )
    }

    /// The address of a database on it over TCP, with this password as it stands in a URL.
    pub fn url_with(&self, password: &str, database: &str) -> String {
        let port = self.port;
        format!("postgresql://seckill:{password}@127.0.0.1:{port}/{database}")
    }

    /// Its folder, in which its user may read.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives these files in its data folder to its user, for nobody else to read.
    pub fn own(&self, files: &[&str]) {
        for name in files {
            let file = self.folder.path().join("data").join(name);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            own(&file);
        }
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) {
        let made = self.run(&format!("CREATE DATABASE {database}"));
        assert!(made, "database {database} is made");
    }

    /// Kills all of it the hard way.
    pub fn kill(&mut self) {
        self.end();
        self.child.wait().unwrap();
    }

    fn end(&self) {
        // No new process is made while the first one stands still.
        let server = self.server();
        signal(server, Signal::SIGSTOP);
        for process in [children_of(server), vec![server]].concat() {
            signal(process, Signal::SIGKILL);
        }
    }

    /// Stops it from running, while its connections stay open, and returns when none of its
    /// processes runs any more.
    pub fn freeze(&self) {
        let server = self.server();
        stop(server);
        for process in children_of(server) {
            stop(process);
        }
    }

    /// Lets it run again.
    pub fn thaw(&self) {
        let server = self.server();
        for process in [children_of(server), vec![server]].concat() {
            signal(process, Signal::SIGCONT);
        }
    }

    fn server(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Starts it again on the same files after a kill.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), self.port);
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        eventually("postgres answers", || async {
            self.run("SELECT 1").then_some(())
        })
        .await;
    }

    /// What the server has logged since it was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Runs a statement in the database `postgres`; whether it succeeded.
    pub fn run(&self, statement: &str) -> bool {
        let mut client = program_as_we_are("psql");
        client.args(["--no-psqlrc", "--username=seckill", "--dbname=postgres"]);
        client.arg(format!("--host={}", self.folder.path().display()));
        client.arg(format!("--port={}", self.port));
        client
            .args(["--set=ON_ERROR_STOP=1", "--command"])
            .arg(statement);
        let status = client.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.expect("the client psql is installed").success()
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
        let _ = self.child.wait();
    }
}

fn children_of(server: Pid) -> Vec<Pid> {
    let list = format!("/proc/{server}/task/{server}/children");
    let list = fs::read_to_string(list).unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).collect()
}

/// One of a connection may have ended meanwhile.
fn signal(process: Pid, signal: Signal) {
    let _ = nix::sys::signal::kill(process, signal);
}

/// Stops a process, and returns when it does not run any more: `kill` returns earlier.
fn stop(process: Pid) {
    signal(process, Signal::SIGSTOP);
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_running(process) {
        assert!(Instant::now() < deadline, "process {process} stands still");
        std::thread::yield_now();
    }
}

/// Whether a process is there and has not been stopped. Its state follows its name, which
/// stands in parentheses.
fn is_running(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with(['T', 'Z'])
}

fn spawn(folder: &Path, port: u16) -> Child {
    let log = folder.join("log");
    let log = fs::OpenOptions::new().create(true).append(true).open(log);
    let log = log.unwrap();
    let mut server = program("postgres");
    server.arg("-D").arg(folder.join("data"));
    let set = |name: &str, value: &str| ["-c".to_owned(), format!("{name}={value}")];
    server.args(set(
        "unix_socket_directories",
        &folder.display().to_string(),
    ));
    server.args(set("listen_addresses", "127.0.0.1"));
    server.args(set("port", &port.to_string()));
    server.args(set("shared_buffers", "32MB"));
    server.stdin(Stdio::null()).stdout(log.try_clone().unwrap());
    let server = server.stderr(log).spawn();
    server.expect("postgresql is installed: scripts/install.sh test")
}

/// A program of the server, as the user who runs it.
fn program(name: &str) -> Command {
    let mut command = program_as_we_are(name);
    command.current_dir("/");
    if let Some(user) = other_user() {
        command.uid(user.uid.into()).gid(user.gid.into());
    }
    command
}

/// Debian keeps the server's programs beside each other, by version.
fn program_as_we_are(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|folder| {
            let version = folder.file_name().to_str()?.parse().ok()?;
            let program = folder.path().join("bin").join(name);
            program.exists().then_some((version, program))
        })
        .collect();
    found.sort();
    let latest = found.pop().map(|(_, program)| program);
    Command::new(latest.unwrap_or_else(|| name.into()))
}

fn own(path: &Path) {
    if let Some(user) = other_user() {
        std::os::unix::fs::chown(path, Some(user.uid.into()), Some(user.gid.into())).unwrap();
    }
}

/// The user who runs the server if we may not: postgres refuses to be run by root.
fn other_user() -> Option<User> {
    if !nix::unistd::getuid().is_root() {
        return None;
    }
    let named = |name| User::from_name(name).unwrap();
    let user = named("postgres").or_else(|| named("nobody"));
    Some(user.expect("a user other than root runs postgres"))
}

/// The store in an empty database of this name.
pub async fn store(server: &TestPostgres, database: &str) -> Store {
    server.create(database);
    Store::open(&server.url(database)).await.unwrap()
}
