//! How many requests a second the purchase journal takes, each on the disk before it is
//! acknowledged, beside what this disk's bare `fdatasync` can do in the same run.
//!
//! `bench/journal.sh` runs it and adds the machine. Prints the rows as JSON.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use seckill::stock::journal::{Journal, Limits};
use seckill_core::journal::request::Request;
use tokio::task::JoinSet;

/// Requests that wait for their acknowledgement at once.
const CONCURRENT: u64 = 1_024;
/// How long each measurement takes.
const LENGTH: Duration = Duration::from_secs(3);

fn request(number: u64) -> Request {
    Request {
        at_ms: 1_700_000_000_000,
        round: "noon".to_owned(),
        product: "153".to_owned(),
        segment: 1,
        segments: 1,
        user: format!("buyer{number}"),
        request: format!("{number:032x}"),
        quantity: 1,
        price_cents: 99_900,
        permit: format!("edge-1.k3-7.{number}"),
        pass: None,
        traceparent: None,
    }
}

/// Appends a second, by many at once.
async fn appends(folder: &Path) -> Result<f64, Box<dyn std::error::Error>> {
    let journal = Journal::open(folder, Limits::megabytes(1_024))?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..CONCURRENT {
        let journal = journal.clone();
        tasks.spawn(async move {
            let mut done = 0_u64;
            while began.elapsed() < LENGTH {
                let number = task + done * CONCURRENT;
                if journal.append(request(number)).await.is_err() {
                    break;
                }
                done += 1;
            }
            done
        });
    }
    let done: u64 = tasks.join_all().await.into_iter().sum();
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// Bare syncs a second, each after as many bytes as a batch has, into space that was set
/// aside.
fn syncs(folder: &Path, bytes: usize) -> std::io::Result<f64> {
    let path = folder.join("bare");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    let (buffer, room) = (vec![7; bytes], 8 << 20);
    file.write_all_at(&vec![0; room], 0)?;
    file.sync_all()?;
    let (began, mut done) = (Instant::now(), 0_u32);
    while began.elapsed() < LENGTH {
        let slot = done as usize % (room / bytes);
        file.write_all_at(&buffer, (slot * bytes) as u64)?;
        file.sync_data()?;
        done += 1;
    }
    let rate = f64::from(done) / began.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("name a folder on the disk to measure")?;
    let folder = Path::new(&folder);
    let size = request(0).encode().len() + seckill_core::journal::frame::OVERHEAD;
    let syncs = syncs(folder, size * CONCURRENT as usize)?;
    let appends = appends(&folder.join("journal")).await?;
    let possible = syncs * CONCURRENT as f64;
    let rows = serde_json::json!([
        { "name": "appends, each on the disk", "value": appends.round(), "unit": "1/s",
          "goal": 20_000.min(possible as u64), "better": "higher", "peer": "journal" },
        { "name": "bare syncs of as many bytes", "value": syncs.round(), "unit": "1/s",
          "goal": null, "better": "higher", "peer": "fdatasync" },
        { "name": "appends per append that the syncs allow", "value": appends / possible,
          "unit": "ratio", "goal": null, "better": "higher", "peer": "fdatasync" },
    ]);
    println!("{rows}");
    Ok(())
}
