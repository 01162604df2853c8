//! How many lines of access logs one core reads and judges.

use std::fmt::Write as _;
use std::time::Instant;

use fastrand::Rng;
use seckill_core::suspicion::PROPOSE;
use seckill_core::suspicion::access_log::Line;
use seckill_core::suspicion::watch::{Limits, Watch};
use serde::Serialize;

/// When the product of these lines opens.
const OPENS_MS: u64 = 1_795_406_400_000;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct LineReport {
    /// LineReport.
    pub lines: usize,
    /// Bytes of a line, on average.
    pub bytes_per_line: usize,
    /// Accounts in them.
    pub accounts: usize,
    /// LineReport a second, read and taken in.
    pub lines_per_second: f64,
    /// Milliseconds for judging everybody once.
    pub judge_ms: f64,
    /// Accounts and addresses that were reported.
    pub found: usize,
}

/// Takes in `lines` lines of a sale with an account for each forty.
#[must_use]
pub fn measure(lines: usize) -> LineReport {
    let accounts = (lines / 40).max(1);
    let text = write(lines, accounts);
    let mut watch = Watch::new(Limits::default(), PROPOSE);
    watch.set_openings([("1", "153", OPENS_MS)].into_iter());
    let began = Instant::now();
    for line in text.lines() {
        if let Ok(line) = Line::parse(line.as_bytes()) {
            watch.note(&line);
        }
    }
    let took = began.elapsed();
    let began = Instant::now();
    let found = watch.judge(OPENS_MS + 3_600_000).len();
    LineReport {
        lines,
        bytes_per_line: text.len() / lines.max(1),
        accounts,
        lines_per_second: (lines as f64 / took.as_secs_f64()).round(),
        judge_ms: began.elapsed().as_secs_f64() * 1_000.0,
        found,
    }
}

/// LineReport as an edge writes them: mostly states and times, some clicks.
fn write(lines: usize, accounts: usize) -> String {
    let mut dice = Rng::with_seed(1);
    let mut text = String::with_capacity(lines * 420);
    for n in 0..lines {
        let account = dice.usize(..accounts);
        let at = OPENS_MS - 60_000 + (n * 120_000 / lines.max(1)) as u64;
        let (method, uri, status, verdict, item) = match dice.u32(..100) {
            0..10 => (
                "POST",
                "/buy/",
                410,
                "sold_out",
                r#""round":"1","product":"153""#,
            ),
            10..14 => (
                "GET",
                "/api/rounds/1/products/153/path",
                200,
                "",
                r#""round":"","product":"""#,
            ),
            14..18 => (
                "GET",
                "/product/1-153.html",
                200,
                "",
                r#""round":"","product":"""#,
            ),
            18..50 => ("GET", "/api/time", 200, "", r#""round":"","product":"""#),
            _ => (
                "GET",
                "/api/rounds/1/products/153/state",
                200,
                "",
                r#""round":"","product":"""#,
            ),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            r#"{{"time":"2026-11-23T12:00:00+08:00","msec":{}.{:03},"address":"10.{}.{}.{}","method":"{method}","uri":"{uri}","status":{status},"bytes":321,"seconds":0.001,"upstream_seconds":"","request":"{n:032x}","verdict":"{verdict}","user":"user{account:07}",{item},"arrival":"","permit":"","agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"}}"#,
            at / 1_000,
            at % 1_000,
            account >> 16 & 0xff,
            account >> 8 & 0xff,
            account & 0xff,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        let measured = measure(4_000);
        assert!(measured.lines_per_second > 0.0);
        let text = write(100, 10);
        assert!(
            text.lines()
                .all(|line| Line::parse(line.as_bytes()).is_ok())
        );
    }
}
