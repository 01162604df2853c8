//! What a system runs on: a disk without room, a clock that can be set.

use std::fs;

use anyhow::{Context as _, ensure};

use super::System;

impl System {
    /// Puts the journal on a file system that is as good as full.
    pub(super) fn mount_small_disk(&mut self) -> anyhow::Result<()> {
        let at = self.folder.join("data/journal");
        fs::create_dir_all(&at).context("the journal's folder cannot be made")?;
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        ensure!(
            mounted,
            "a full disk needs a file system of its own; run this drill as root"
        );
        self.mounted = Some(at);
        Ok(())
    }

    /// Lets the roles read their wall clock from libfaketime, which reads an offset from a
    /// file.
    pub(super) fn fake_clock(&mut self) -> anyhow::Result<()> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten();
        let mut libraries = folders
            .filter_map(|it| Some(it.ok()?.path().join("faketime/libfaketimeMT.so.1")))
            .filter(|it| it.exists());
        let library = libraries
            .next()
            .context("libfaketime is missing; run scripts/install.sh test")?;
        self.set_clock(0)?;
        let file = self.folder.join("clock").display().to_string();
        for (name, value) in [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // As on a real machine: this one never jumps.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ] {
            self.variables.push((name.to_owned(), value));
        }
        Ok(())
    }

    /// Sets the roles' wall clock so many seconds from the right one.
    pub(in crate::inspect::drill) fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        let (draft, file) = (self.folder.join("clock.new"), self.folder.join("clock"));
        fs::write(&draft, format!("{seconds:+}")).context("the clock cannot be set")?;
        fs::rename(draft, file).context("the clock cannot be set")
    }
}
