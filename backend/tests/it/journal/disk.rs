use std::fs;
use std::path::{Path, PathBuf};

use seckill::redis::segments::Segment;
use seckill::stock::journal::{AppendError, Journal, Journals, Limits};
use seckill_core::journal::frame::OVERHEAD;
use seckill_core::journal::header;
use seckill_core::journal::request::Request;
use tempfile::TempDir;

use crate::common::item;

/// Small files, so that a test has several.
const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    file_bytes: 4096,
};

pub(crate) fn request(user: &str) -> Request {
    Request {
        at_ms: 1,
        round: "1".into(),
        product: "153".into(),
        segment: 1,
        segments: 1,
        user: user.into(),
        request: format!("r-{user}"),
        quantity: 1,
        price_cents: 99_900,
        permit: String::new(),
        pass: None,
        traceparent: None,
    }
}

fn segment() -> Segment {
    Segment {
        item: item(),
        number: 1,
    }
}

async fn append_all(journal: &Journal, users: impl IntoIterator<Item = u32>) {
    for n in users {
        journal.append(request(&format!("u{n}"))).await.unwrap();
    }
}

fn users(journal: &Journal) -> Vec<String> {
    let waiting = journal.oldest(&segment(), usize::MAX);
    waiting
        .iter()
        .map(|entry| entry.request.user.clone())
        .collect()
}

/// Opens again what a process left that has died. The old handle is gone by then, its
/// thread perhaps not yet.
fn reopen(base: &Path) -> Journal {
    let copy = base.join("copy");
    let _ = fs::remove_dir_all(&copy);
    copy_files(&base.join("1"), &copy.join("1"));
    Journal::open(&copy, LIMITS).unwrap()
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "lock" {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "journal"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn killed_at_a_thousand_places_it_has_all_that_was_acknowledged_in_order() {
    let base = TempDir::new().unwrap();
    let limits = Limits {
        file_bytes: 1 << 16,
        ..LIMITS
    };
    let journal = Journal::open(base.path(), limits).unwrap();
    append_all(&journal, 0..60).await;
    let [file] = <[PathBuf; 1]>::try_from(files(journal.folder())).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut ends = vec![header::LEN];
    for n in 0..60 {
        let length = request(&format!("u{n}")).encode().len();
        ends.push(ends.last().unwrap() + OVERHEAD + length);
    }
    let end = *ends.last().unwrap();
    // A generator of its own, so that a failure is seen again.
    let mut random = 7_u64;
    for _ in 0..1_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let cut = header::LEN + usize::try_from(random >> 33).unwrap() % (end - header::LEN + 1);
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        // Space that was set aside is still there behind the cut, empty.
        let mut left = whole[..cut].to_vec();
        left.resize(whole.len(), 0);
        fs::write(folder.path().join("1/0000000001.journal"), left).unwrap();
        let again = Journal::open(folder.path(), limits).unwrap();
        let written = ends.iter().filter(|end| **end <= cut).count() - 1;
        let expected: Vec<String> = (0..written).map(|n| format!("u{n}")).collect();
        assert_eq!(users(&again), expected, "killed at byte {cut}");
        assert_eq!(again.found().lost, 0, "killed at byte {cut}");
    }
}

#[tokio::test]
async fn it_goes_on_over_many_files_and_a_restart_and_removes_what_was_replayed() {
    let base = TempDir::new().unwrap();
    let journal = Journal::open(base.path(), LIMITS).unwrap();
    append_all(&journal, 0..100).await;
    assert!(files(journal.folder()).len() > 3);
    let again = reopen(base.path());
    append_all(&again, 100..110).await;
    let all: Vec<String> = (0..110).map(|n| format!("u{n}")).collect();
    assert_eq!(users(&again), all);
    let seqs: Vec<u64> = again
        .oldest(&segment(), 200)
        .iter()
        .map(|it| it.seq)
        .collect();
    assert_eq!(seqs, (1..=110).collect::<Vec<u64>>());

    again.replayed(&segment(), 60);
    let folder = again.folder().to_owned();
    let before = files(&folder).len();
    crate::common::eventually("replayed files are removed", || async {
        (files(&folder).len() < before).then_some(())
    })
    .await;
    assert_eq!(users(&again), all[60..]);
    again.replayed(&segment(), 50);
    crate::common::eventually("all files are removed", || async {
        files(&folder).is_empty().then_some(())
    })
    .await;
    append_all(&again, 110..111).await;
    assert_eq!(users(&again), ["u110"]);
}

#[tokio::test]
async fn what_was_replayed_is_not_replayed_after_a_restart() {
    let base = TempDir::new().unwrap();
    let journal = Journal::open(base.path(), LIMITS).unwrap();
    append_all(&journal, 0..50).await;
    journal.replayed(&segment(), 30);
    let position = journal.folder().join("position");
    crate::common::eventually("it is noted", || async { position.exists().then_some(()) }).await;
    let again = reopen(base.path());
    assert!(users(&again).len() <= 50 && users(&again).ends_with(&["u48".into(), "u49".into()]));
    assert_eq!(again.found().lost, 0);
    // The note is lost: all that is left is replayed, and the script knows what was.
    drop(again);
    fs::write(position, "nonsense").unwrap();
    assert!(users(&reopen(base.path())).len() >= 20);
}

#[tokio::test]
async fn a_flipped_bit_and_a_missing_file_are_counted_as_lost_and_the_rest_is_kept() {
    let base = TempDir::new().unwrap();
    let journal = Journal::open(base.path(), LIMITS).unwrap();
    append_all(&journal, 0..100).await;
    let first = &files(journal.folder())[0];
    let mut bytes = fs::read(first).unwrap();
    bytes[header::LEN + 100] ^= 1;
    fs::write(first, bytes).unwrap();
    let again = reopen(base.path());
    assert_eq!((again.found().lost, users(&again).len()), (1, 99));
    assert!(!users(&again).contains(&"u0".to_owned()));

    fs::remove_file(&files(journal.folder())[1]).unwrap();
    let found = reopen(base.path()).found().clone();
    assert!(found.lost > 5, "{found:?}");
    assert_eq!(u64::try_from(found.waiting).unwrap() + found.lost, 100);
}

#[tokio::test]
async fn a_foreign_file_and_one_of_another_version_are_set_aside_not_replayed() {
    let (base, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let journal = Journal::open(base.path(), LIMITS).unwrap();
    append_all(&journal, 0..5).await;
    let foreign = Journal::open(other.path(), LIMITS).unwrap();
    append_all(&foreign, 100..105).await;
    let theirs = fs::read(&files(foreign.folder())[0]).unwrap();
    let folder = journal.folder();
    fs::write(folder.join("0000000002.journal"), &theirs).unwrap();
    // The same file under another number.
    let ours = fs::read(&files(folder)[0]).unwrap();
    fs::write(folder.join("0000000003.journal"), &ours).unwrap();
    let mut older = ours.clone();
    older[8..10].copy_from_slice(&0_u16.to_le_bytes());
    fs::write(folder.join("0000000004.journal"), &older).unwrap();
    fs::write(folder.join("0000000005.journal"), "hello").unwrap();
    let again = reopen(base.path());
    assert_eq!(users(&again), ["u0", "u1", "u2", "u3", "u4"]);
    let aside: Vec<&str> = again
        .found()
        .set_aside
        .iter()
        .map(|path| path.extension().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(aside, ["foreign", "foreign", "version", "damaged"]);
    append_all(&again, 5..6).await;
    assert_eq!(users(&again).len(), 6);
}

#[tokio::test]
async fn two_processes_have_folders_of_their_own_and_one_adopts_what_the_other_left() {
    let base = TempDir::new().unwrap();
    let one = Journal::open(base.path(), LIMITS).unwrap();
    let two = Journal::open(base.path(), LIMITS).unwrap();
    assert_ne!(one.folder(), two.folder());
    append_all(&one, 0..3).await;
    let [forgotten, others] = Journal::adopt(base.path(), LIMITS).unwrap();
    assert!(forgotten.is_empty() && others.is_empty());
    drop(one);
    let adopted = crate::common::eventually("the lock is released", || async {
        let [_, mut others] = Journal::adopt(base.path(), LIMITS).unwrap();
        others.pop()
    })
    .await;
    assert_eq!(users(&adopted), ["u0", "u1", "u2"]);
    assert_eq!(two.waiting(), 0);
}

/// Adopts what was left in `folder`, twice: nothing of it is to be replayed, and what is wrong
/// with it is not found again. Whoever has the folder next misses nothing in it.
async fn finds_nothing_to_replay(base: &Path, folder: &Path) {
    let [forgotten, others] = Journal::adopt(base, LIMITS).unwrap();
    assert!(forgotten.is_empty() && others.is_empty());
    assert_eq!(files(folder), Vec::<PathBuf>::new());
    let next = Journal::open(base, LIMITS).unwrap();
    append_all(&next, 5..7).await;
    let again = reopen(base);
    assert_eq!(users(&again), ["u5", "u6"]);
    assert_eq!((again.found().lost, again.found().torn), (0, false));
}

/// A process was killed in the middle of its only record, and not started again.
#[tokio::test]
async fn half_a_record_and_nothing_else_is_found_once() {
    let (base, dead) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let journal = Journal::open(dead.path(), LIMITS).unwrap();
    append_all(&journal, 0..1).await;
    let left = base.path().join("1");
    copy_files(journal.folder(), &left);
    let file = files(&left).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(header::LEN + OVERHEAD + 1);
    fs::write(&file, &bytes).unwrap();
    finds_nothing_to_replay(base.path(), &left).await;
    assert!(!file.with_extension("damaged").exists());
}

/// A process was killed when all was replayed, before it had removed the file, and the disk
/// has damaged that.
#[tokio::test]
async fn a_damaged_file_of_which_nothing_waits_is_found_once_and_kept() {
    let (base, dead) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let journal = Journal::open(dead.path(), LIMITS).unwrap();
    append_all(&journal, 0..2).await;
    let left = base.path().join("1");
    copy_files(journal.folder(), &left);
    journal.replayed(&segment(), 2);
    let position = journal.folder().join("position");
    crate::common::eventually("it is noted", || async { position.exists().then_some(()) }).await;
    fs::copy(&position, left.join("position")).unwrap();
    let file = files(&left).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[header::LEN + OVERHEAD + 1] ^= 1;
    fs::write(&file, &bytes).unwrap();
    finds_nothing_to_replay(base.path(), &left).await;
    assert!(fs::read(file.with_extension("damaged")).is_ok_and(|kept| kept == bytes));
}

#[tokio::test]
async fn what_was_forgotten_is_adopted_apart_from_what_waited() {
    let base = TempDir::new().unwrap();
    let journals = Journals::open(base.path(), LIMITS).unwrap();
    append_all(&journals.own, 0..2).await;
    append_all(&journals.forgotten, 2..5).await;
    assert_eq!(journals.waiting(), 5);
    assert!(journals.holds_buyer(&segment().item, "u0"));
    assert!(journals.holds_buyer(&segment().item, "u4"));
    drop(journals);
    let [forgotten, others] = crate::common::eventually("both locks are released", || async {
        let found = Journal::adopt(base.path(), LIMITS).unwrap();
        found.iter().all(|it| it.len() == 1).then_some(found)
    })
    .await;
    assert_eq!(users(&forgotten[0]), ["u2", "u3", "u4"]);
    assert_eq!(users(&others[0]), ["u0", "u1"]);
}

#[tokio::test]
async fn at_its_bound_it_promises_nothing_and_takes_more_once_there_is_room() {
    let base = TempDir::new().unwrap();
    let limits = Limits {
        max_bytes: 8192,
        file_bytes: 4096,
    };
    let journal = Journal::open(base.path(), limits).unwrap();
    let mut taken = 0;
    let refused = loop {
        match journal.append(request(&format!("u{taken}"))).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    let AppendError::NotWritten(reason) = refused else {
        panic!("{refused}");
    };
    assert!(reason.contains("journal_max_mb"), "{reason}");
    assert_eq!(journal.waiting(), taken);
    journal.replayed(&segment(), taken);
    crate::common::eventually("there is room again", || async {
        journal.append(request("later")).await.ok()
    })
    .await;
    assert_eq!(users(&journal), ["later"]);
}
