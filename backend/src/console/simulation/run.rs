//! The load generator as a child process: starting it, stopping it, reading its files.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::Plan;
use crate::config::Config;
use crate::console::ConsoleError;
use crate::now_ms;

/// A simulation that runs, or has ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    /// The operator who began it.
    pub(super) by: String,
    began_ms: u64,
    child: Child,
    /// The path of its files, without their extensions.
    files: PathBuf,
    /// How it ended, once it has: `finished`, `failed` or `ended`.
    ended: Option<String>,
}

impl Run {
    /// Starts the load generator.
    pub(super) fn begin(config: &Config, plan: Plan, by: &str) -> Result<Self, ConsoleError> {
        let internal = |error: std::io::Error| ConsoleError::internal(&error);
        let folder = config.data.join("simulation");
        std::fs::create_dir_all(&folder).map_err(internal)?;
        let files = folder.join("last");
        for extension in ["json", "html", "progress"] {
            // There may be none yet.
            let _ = std::fs::remove_file(files.with_extension(extension));
        }
        let now_ms = now_ms();
        let log = std::fs::File::create(files.with_extension("log")).map_err(internal)?;
        // The shop goes first: a simulation must not take its cores.
        let mut command = Command::new("nice");
        command
            .args(["-n", "10"])
            .arg(std::env::current_exe().map_err(internal)?)
            .args(["--data", &config.data.display().to_string(), "load", "shop"])
            .args(["--base", &format!("http://127.0.0.1:{}", config.port)])
            .args(["--round", &plan.round, "--product", &plan.product])
            .args(["--shoppers", &plan.shoppers.to_string()])
            .args(["--bots", &plan.bots.to_string()])
            .args(["--seconds", &plan.seconds.to_string()])
            .args(["--seed", &now_ms.to_string()])
            // New names each time: a buyer cannot buy twice.
            .args(["--prefix", &format!("sim{}-", now_ms / 1_000 % 1_000_000)])
            .arg("--report")
            .arg(&files)
            .arg("--progress")
            .arg(files.with_extension("progress"));
        if !plan.wickedness.is_empty() {
            command.args(["--wickedness", &plan.wickedness.join(",")]);
        }
        if config.captcha.is_on() {
            command.arg("--keys").arg(&config.keys);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(internal)?;
        Ok(Self {
            plan,
            by: by.to_owned(),
            began_ms: now_ms,
            child,
            files,
            ended: None,
        })
    }

    pub(super) fn is_running(&mut self) -> bool {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.ended = Some(if status.success() {
                "finished".to_owned()
            } else {
                "failed".to_owned()
            });
        }
        self.ended.is_none()
    }

    pub(super) async fn stop(&mut self) {
        // The load generator holds nothing that could be lost.
        let _ = self.child.kill().await;
        self.ended = Some("ended".to_owned());
    }

    /// How far it is, with its report once it has finished.
    pub(super) async fn status(&mut self) -> Value {
        let is_running = self.is_running();
        let read = async |extension: &str| -> Value {
            let text = tokio::fs::read(self.files.with_extension(extension)).await;
            text.ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or(Value::Null)
        };
        let mut report = if is_running {
            Value::Null
        } else {
            read("json").await
        };
        if let Some(fields) = report.as_object_mut() {
            // Thousands of names, which the page does not show.
            fields.remove("actors");
        }
        let trouble = match self.ended.as_deref() {
            Some("failed") => tokio::fs::read_to_string(self.files.with_extension("log"))
                .await
                .ok(),
            _ => None,
        };
        json!({
            "state": self.ended.as_deref().unwrap_or("running"),
            "asked": self.plan,
            "by": self.by,
            "began_ms": self.began_ms,
            "progress": read("progress").await,
            "report": report,
            "trouble": trouble,
        })
    }
}
