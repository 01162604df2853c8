//! A MariaDB server of the test's own, without the system's service.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use seckill::store::Store;
use tempfile::TempDir;

use super::eventually;

/// A mariadbd on a socket in a folder of its own, gone when dropped.
pub struct TestMariadb {
    folder: TempDir,
    arguments: Vec<String>,
    child: Child,
}

impl TestMariadb {
    /// Makes the system tables in a new folder, starts a server on them as the
    /// current user, and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with further arguments for the server.
    pub async fn start_with(arguments: &[String]) -> Self {
        let folder = TempDir::new().unwrap();
        let made = Command::new("mariadb-install-db")
            // A server that starts removes the temporary files of all others there.
            .env("TMPDIR", folder.path())
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg(format!(
                "--datadir={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--user={}", user()))
            .stdin(Stdio::null())
            .output()
            .expect("mariadb-server is installed: scripts/install.sh test");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let child = spawn(folder.path(), arguments);
        let arguments = arguments.to_vec();
        let server = Self {
            folder,
            arguments,
            child,
        };
        server.until_ready().await;
        server
    }

    /// The address of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!(
            "mysql://root@localhost/{database}?socket={}",
            self.socket().display()
        )
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("mariadb.sock")
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) {
        let made = self.run(&format!("CREATE DATABASE {database}"));
        assert!(made, "database {database} is made");
    }

    /// Kills it the hard way.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it from running, while its connections stay open.
    pub fn freeze(&self) {
        super::freeze(&self.child);
    }

    /// Lets it run again.
    pub fn thaw(&self) {
        super::thaw(&self.child);
    }

    /// Starts it again on the same files after a kill.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), &self.arguments);
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        eventually("mariadbd answers", || async {
            self.run("SELECT 1").then_some(())
        })
        .await;
    }

    pub fn run(&self, statement: &str) -> bool {
        let mut client = Command::new("mariadb");
        client.arg("--no-defaults").arg("--user=root");
        // A client from 11.4 on refuses a certificate by an authority that it does not know.
        client.arg("--skip-ssl");
        client.arg(format!("--socket={}", self.socket().display()));
        client.arg("--execute").arg(statement);
        let status = client.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.expect("the client mariadb is installed").success()
    }
}

impl Drop for TestMariadb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, arguments: &[String]) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    Command::new("mariadbd")
        .env("TMPDIR", folder)
        .args(["--no-defaults", "--skip-networking", "--skip-name-resolve"])
        .arg(format!("--user={}", user()))
        .arg(format!("--datadir={}", path("data")))
        .arg(format!("--socket={}", path("mariadb.sock")))
        .arg(format!("--pid-file={}", path("mariadb.pid")))
        .arg(format!("--log-error={}", path("mariadb.log")))
        // A test's folder may be on a slow disk.
        .arg("--innodb-buffer-pool-size=64M")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mariadb-server is installed: scripts/install.sh test")
}

/// The current user, which a server started by root must be given.
fn user() -> String {
    let uid = nix::unistd::getuid();
    nix::unistd::User::from_uid(uid).unwrap().unwrap().name
}

/// The store in an empty database of this name.
pub async fn store(server: &TestMariadb, database: &str) -> Store {
    server.create(database);
    Store::open(&server.url(database)).await.unwrap()
}
