//! Repeats a round on several days.
//!
//! Each day is a round of its own, with an id, a stock, an approval and a page of
//! its own: items left on one day are not sold on the next, and one day can be
//! changed or called off without the others. The days share the name of their
//! series, and the time of day in the shop's zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use seckill_core::ids;

use super::file::FileRound;
use super::limits::MAX_DAYS;
use crate::store::round::Round;
use crate::time::rfc3339;

/// Length of what a day adds to the id of its series: `_20261123`.
const SUFFIX: usize = 9;

/// Why a round cannot be repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RepeatError {
    /// The days' ids would not fit.
    #[error(
        "round \"{id}\" on several days needs an id of at most {most} characters, since each day \
         adds its date, such as \"{id}_20261123\"; choose a shorter one"
    )]
    LongId {
        /// The series' id.
        id: String,
        /// Longest id that fits.
        most: usize,
    },
    /// A day would begin before the one before it ends.
    #[error(
        "round \"{id}\" lasts longer than a day, so that its days would overlap; let it end \
         before {}, or on one day only",
        rfc3339(*next_ms)
    )]
    Overlaps {
        /// The series' id.
        id: String,
        /// When the second day begins, epoch milliseconds.
        next_ms: u64,
    },
    /// A day is beyond the calendar.
    #[error("round \"{id}\" runs over days that no calendar has; choose an earlier start")]
    NoSuchDay {
        /// The series' id.
        id: String,
    },
}

impl RepeatError {
    /// A stable name, for translations.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RepeatError::LongId { .. } => "days_long_id",
            RepeatError::Overlaps { .. } => "days_overlap",
            RepeatError::NoSuchDay { .. } => "days_calendar",
        }
    }
}

/// Every round of the file, those on several days as one round a day.
///
/// # Errors
/// [`RepeatError`] of the first round that cannot be repeated.
pub fn by_day(rounds: Vec<FileRound>, zone: &TimeZone) -> Result<Vec<FileRound>, RepeatError> {
    let mut all = Vec::with_capacity(rounds.len());
    for file in rounds {
        if file.days <= 1 {
            all.push(file);
            continue;
        }
        let series = Some(file.round.id.clone());
        for round in days(&file.round, file.days, zone)? {
            all.push(FileRound {
                round,
                days: 1,
                series: series.clone(),
                ..file
            });
        }
    }
    Ok(all)
}

/// The round on `count` days, at the same time of day in `zone`.
///
/// # Errors
/// [`RepeatError`].
pub fn days(round: &Round, count: u32, zone: &TimeZone) -> Result<Vec<Round>, RepeatError> {
    let most = ids::MAX_ID - SUFFIX;
    if round.id.len() > most {
        let id = round.id.clone();
        return Err(RepeatError::LongId { id, most });
    }
    let no_such_day = || RepeatError::NoSuchDay {
        id: round.id.clone(),
    };
    let planned = planned(round, zone).ok_or_else(no_such_day)?;
    let mut rounds: Vec<Round> = Vec::new();
    for day in 0..i64::from(count) {
        let (opens, ends_ms) = on_day(&planned, day).ok_or_else(no_such_day)?;
        let opens_ms = epoch_ms(&opens).ok_or_else(no_such_day)?;
        if let Some(before) = rounds.last()
            && before.ends_ms > opens_ms
        {
            let (id, next_ms) = (round.id.clone(), opens_ms);
            return Err(RepeatError::Overlaps { id, next_ms });
        }
        rounds.push(Round {
            id: format!("{}_{}", round.id, opens.strftime("%Y%m%d")),
            opens_ms,
            ends_ms,
            ..round.clone()
        });
    }
    Ok(rounds)
}

/// Start and end of a round as the clocks of a zone show them.
fn planned(round: &Round, zone: &TimeZone) -> Option<(Zoned, Zoned)> {
    Some((zoned(round.opens_ms, zone)?, zoned(round.ends_ms, zone)?))
}

/// A moment as the clocks of a zone show it.
fn zoned(ms: u64, zone: &TimeZone) -> Option<Zoned> {
    let moment = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(moment.to_zoned(zone.clone()))
}

fn epoch_ms(moment: &Zoned) -> Option<u64> {
    u64::try_from(moment.timestamp().as_millisecond()).ok()
}

/// Start and end at the same times of day so many days later. Where clocks change in
/// between, the times of day stay, and a night has an hour more or less. A start that the
/// clocks leave out is as much later as they are set forward; if the end is not behind it
/// then, the round is as long as planned: 02:30 to 03:15 becomes 03:30 to 04:15.
fn on_day((first, last): &(Zoned, Zoned), day: i64) -> Option<(Zoned, u64)> {
    let opens = first.checked_add(day.days()).ok()?;
    let ends_ms = epoch_ms(&last.checked_add(day.days()).ok()?)?;
    let opens_ms = epoch_ms(&opens)?;
    if ends_ms > opens_ms {
        return Some((opens, ends_ms));
    }
    let length_ms = epoch_ms(last)?.checked_sub(epoch_ms(first)?)?;
    Some((opens, opens_ms + length_ms))
}

/// The round on its day and later ones, at the same time of day, without days whose start
/// is past. `None` if its own start is beyond the calendar.
#[must_use]
pub fn next_days(
    round: Round,
    now_ms: u64,
    zone: &TimeZone,
) -> Option<impl Iterator<Item = Round>> {
    let planned = planned(&round, zone)?;
    let today = zoned(now_ms, zone)?.date();
    let behind = planned.0.date().until(today).ok()?.get_days().max(0);
    let last = i64::from(behind) + i64::from(MAX_DAYS);
    let days = (i64::from(behind)..=last).filter_map(move |day| {
        let (opens, ends_ms) = on_day(&planned, day)?;
        let opens_ms = epoch_ms(&opens).filter(|opens_ms| *opens_ms > now_ms)?;
        Some(Round {
            opens_ms,
            ends_ms,
            ..round.clone()
        })
    });
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon(id: &str, hours: u64) -> Round {
        let opens_ms = 1_795_406_400_000; // 2026-11-23T12:00:00+08:00
        Round {
            id: id.to_owned(),
            name: "Noon".to_owned(),
            opens_ms,
            ends_ms: opens_ms + hours * 3_600_000,
            products: Vec::new(),
        }
    }

    #[test]
    fn each_day_is_a_round_of_its_own_at_the_same_time_of_day() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let rounds = days(&noon("noon", 1), 3, &shanghai).unwrap();
        let ids: Vec<&str> = rounds.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["noon_20261123", "noon_20261124", "noon_20261125"]);
        assert_eq!(rounds[2].opens_ms - rounds[0].opens_ms, 2 * 86_400_000);
        assert_eq!(rounds[2].ends_ms - rounds[2].opens_ms, 3_600_000);
    }

    #[test]
    fn where_clocks_change_the_time_of_day_stays_and_the_distance_does_not() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut round = noon("n", 1);
        round.opens_ms = 1_792_839_600_000; // 2026-10-24T13:00:00+02:00
        round.ends_ms = round.opens_ms + 1;
        let rounds = days(&round, 2, &berlin).unwrap();
        assert_eq!(rounds[1].opens_ms - rounds[0].opens_ms, 25 * 3_600_000);
    }

    #[test]
    fn a_night_over_a_change_of_clocks_ends_at_its_hour() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut round = noon("n", 1);
        // 2026-10-23, 22:00 to 06:00; clocks are set back in the night after the 24th.
        round.opens_ms = 1_792_785_600_000;
        round.ends_ms = round.opens_ms + 8 * 3_600_000;
        let nights = days(&round, 3, &berlin).unwrap();
        let hours = nights
            .iter()
            .map(|it| (it.ends_ms - it.opens_ms) / 3_600_000);
        assert_eq!(hours.collect::<Vec<_>>(), [8, 9, 8]);
        let mut next = next_days(round.clone(), round.opens_ms, &berlin).unwrap();
        let (_, second) = (next.next().unwrap(), next.next().unwrap());
        assert_eq!(second.ends_ms, nights[2].ends_ms);
    }

    #[test]
    fn a_start_that_the_clocks_leave_out_moves_a_short_round_as_a_whole() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut round = noon("n", 1);
        // 2027-03-26, 02:30 to 03:15; in the night to the 28th 02:00 is followed by 03:00.
        round.opens_ms = 1_806_024_600_000;
        round.ends_ms = round.opens_ms + 45 * 60_000;
        let nights = days(&round, 5, &berlin).unwrap();
        let minutes = nights.iter().map(|it| (it.ends_ms - it.opens_ms) / 60_000);
        assert_eq!(minutes.collect::<Vec<_>>(), [45; 5]);
        let starts = nights.iter().map(|it| zoned(it.opens_ms, &berlin).unwrap());
        let starts: Vec<_> = starts
            .map(|it| it.strftime("%d %H:%M").to_string())
            .collect();
        let wanted = ["26 02:30", "27 02:30", "28 03:30", "29 02:30", "30 02:30"];
        assert_eq!(starts, wanted);
        let copies = next_days(round.clone(), round.opens_ms, &berlin).unwrap();
        let copies: Vec<_> = copies.take(4).map(|it| (it.opens_ms, it.ends_ms)).collect();
        let later = nights[1..].iter().map(|it| (it.opens_ms, it.ends_ms));
        assert_eq!(copies, later.collect::<Vec<_>>());
    }

    #[test]
    fn days_that_overlap_and_ids_that_do_not_fit_are_refused() {
        let zone = TimeZone::UTC;
        let long = days(&noon("n", 30), 2, &zone).unwrap_err().to_string();
        assert!(long.contains("its days would overlap"), "{long}");
        let id = "a".repeat(24);
        let refused = days(&noon(&id, 1), 2, &zone).unwrap_err().to_string();
        assert!(refused.contains("at most 23 characters"), "{refused}");
    }
}
