//! One log file: half lines, garbage, rotation, restarts.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use seckill::edges::analysis::follow::Follower;
use seckill_core::suspicion::access_log::MAX_LINE;

struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    fn write(&self, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, number: u32) -> File {
        let to = self.folder.path().join(format!("access.log.{number}"));
        std::fs::rename(self.path(), &to).unwrap();
        OpenOptions::new().append(true).open(to).unwrap()
    }
}

/// All that can be read now; history in brackets.
fn read(follower: &mut Follower) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..4 {
        follower
            .read(1 << 20, &mut |line, history| {
                let text = String::from_utf8_lossy(line);
                lines.push(if history {
                    format!("({text})")
                } else {
                    text.into_owned()
                });
            })
            .unwrap();
    }
    lines
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let log = Log::new();
    let mut follower = Follower::open(&log.path(), None).unwrap();
    assert!(read(&mut follower).is_empty());
    log.write("one\ntw");
    assert_eq!(read(&mut follower), ["one"]);
    log.write("o\n\nthree\n");
    assert_eq!(read(&mut follower), ["two", "", "three"]);
}

#[test]
fn a_line_without_end_is_cut_and_its_rest_skipped() {
    let log = Log::new();
    let mut follower = Follower::open(&log.path(), None).unwrap();
    log.write(&"x".repeat(MAX_LINE * 3));
    log.write("\nnext\n");
    let lines = read(&mut follower);
    assert_eq!(
        (lines[0].len(), &*lines[1], lines.len()),
        (MAX_LINE, "next", 2)
    );
}

#[test]
fn a_renamed_log_is_read_on_beside_its_successor() {
    let log = Log::new();
    let mut follower = Follower::open(&log.path(), None).unwrap();
    log.write("one\n");
    assert_eq!(read(&mut follower), ["one"]);
    let mut old = log.rename(1);
    old.write_all(b"two\nthr").unwrap();
    // Not reopened yet.
    assert_eq!(read(&mut follower), ["two"]);
    log.write("four\n");
    assert_eq!(read(&mut follower), ["four"]);
    old.write_all(b"ee\n").unwrap();
    assert_eq!(read(&mut follower), ["three"]);
}

#[test]
fn a_log_that_came_and_was_renamed_while_nobody_read_is_read_in_its_turn() {
    let log = Log::new();
    let mut follower = Follower::open(&log.path(), None).unwrap();
    // Renamed before all that follows, and not to be read again.
    log.write("an earlier one\n");
    let earlier = log.rename(1);
    earlier.set_modified(std::time::UNIX_EPOCH).unwrap();
    log.write("one\n");
    assert_eq!(read(&mut follower), ["one"]);
    log.rename(2);
    log.write("two\n");
    assert_eq!(read(&mut follower), ["two"]);
    log.rename(1);
    log.write("three\n");
    log.rename(1);
    log.write("four\n");
    assert_eq!(read(&mut follower), ["three", "four"]);
}

#[test]
fn a_truncated_log_is_read_from_its_beginning() {
    let log = Log::new();
    let mut follower = Follower::open(&log.path(), None).unwrap();
    log.write("one\ntwo\nhal");
    assert_eq!(read(&mut follower), ["one", "two"]);
    File::create(log.path()).unwrap();
    log.write("new\n");
    assert_eq!(read(&mut follower), ["new"]);
}

#[test]
fn what_is_there_at_the_first_start_is_history() {
    let log = Log::new();
    log.write("one\n");
    let mut follower = Follower::open(&log.path(), None).unwrap();
    log.write("two\n");
    assert_eq!(read(&mut follower), ["(one)", "two"]);
}

#[test]
fn a_restart_goes_on_behind_what_was_acted_upon_and_repeats_the_time_before_as_history() {
    let log = Log::new();
    let mut follower = Follower::open(&log.path(), None).unwrap();
    log.write("one\n");
    read(&mut follower);
    let from = follower.position().unwrap();
    log.write("two\nthr");
    read(&mut follower);
    let acted = follower.position().unwrap();
    drop(follower);
    log.write("ee\n");
    let mut follower = Follower::open(&log.path(), Some((from, acted))).unwrap();
    assert_eq!(read(&mut follower), ["(two)", "three"]);
    // Rotated while nobody read.
    let acted = follower.position().unwrap();
    drop(follower);
    log.write("four\n");
    log.rename(1);
    log.write("five\n");
    let mut follower = Follower::open(&log.path(), Some((from, acted))).unwrap();
    assert_eq!(read(&mut follower), ["(two)", "(three)", "four", "five"]);
}

#[test]
fn truncated_while_nobody_read() {
    let log = Log::new();
    log.write("one\ntwo\n");
    let mut follower = Follower::open(&log.path(), None).unwrap();
    read(&mut follower);
    let place = follower.position().unwrap();
    File::create(log.path()).unwrap();
    log.write("new\n");
    let mut follower = Follower::open(&log.path(), Some((place, place))).unwrap();
    assert_eq!(read(&mut follower), ["new"]);
}
