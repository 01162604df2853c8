//! A RocketMQ of a test's own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use seckill::queue::RocketMqQueue;
use seckill::queue::rocketmq::TopicType;
use tempfile::TempDir;

use super::ports;

/// How many places a server is tried in: a port may be taken meanwhile.
const TRIES: u32 = 5;

/// One node in a folder of its own, on ports of its own, gone when dropped.
pub struct TestRocketMq {
    folder: TempDir,
    port: u16,
    topics: Vec<String>,
}

impl TestRocketMq {
    /// Starts one with these topics besides the usual ones, each `NAME:TYPE`.
    /// `None`, with a line that says so, where there is no Java to run it.
    pub fn start(topics: &[&str]) -> Option<Self> {
        let java = Command::new("java")
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if java.is_err() {
            let why = "java is not installed (scripts/install.sh test does it)";
            println!("SKIPPED, RocketMQ is not tested: {why}");
            return None;
        }
        let mut failures = Vec::new();
        for _ in 0..TRIES {
            let mq = Self {
                folder: TempDir::new().unwrap(),
                port: ports::free_row(9),
                topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            };
            match mq.try_run("start") {
                Ok(()) => return Some(mq),
                Err(said) => failures.push(said),
            }
        }
        panic!("rocketmq.sh start: {}", failures.join("\n"));
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The queue in one of its topics.
    pub fn queue(&self, topic: &str, kind: TopicType) -> RocketMqQueue {
        RocketMqQueue::new(&self.endpoint(), topic, kind, &format!("{topic}-workers")).unwrap()
    }

    /// Ends it the hard way.
    pub fn kill(&self) {
        self.run("kill");
    }

    /// Starts it again on what it stored.
    pub fn start_again(&self) {
        self.run("start");
    }

    fn run(&self, command: &str) {
        if let Err(said) = self.try_run(command) {
            panic!("rocketmq.sh {command}: {said}");
        }
    }

    fn try_run(&self, command: &str) -> Result<(), String> {
        let script = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../scripts/rocketmq.sh"
        ));
        let output = Command::new(script)
            .arg(command)
            .arg(self.folder.path())
            .env("ROCKETMQ_PORT", self.port.to_string())
            .env("ROCKETMQ_TOPICS", self.topics.join(" "))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }
}

impl Drop for TestRocketMq {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kill();
            return;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/rocketmq.sh");
        let _ = Command::new(script)
            .arg("kill")
            .arg(self.folder.path())
            .status();
    }
}
