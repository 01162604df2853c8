//! A puzzle as the server keeps it: its buyer, its product, and its answer.

use crate::captcha::track;
use crate::captcha::track::{Flaw, Moment};
use crate::captcha::work;
use crate::captcha::work::Tries;
use crate::ids::{self, Item};

/// How long a puzzle can be answered, in ms.
pub const LIFE_MS: u64 = 60_000;
/// How far beside the hole the piece may be left, in pixels of the picture.
pub const TOLERANCE: f64 = 5.0;
/// How long before the opening puzzles are handed out, in ms: no longer than the
/// clocks of edge and back end may differ. A puzzle belongs to the click: the time
/// that it takes spreads the clicks of a crowd over half a minute (course §076); one
/// that could be solved in advance would not.
pub const BEFORE_OPENING_MS: u64 = 1_000;
/// The window in which the puzzles handed out are counted, in ms.
pub const ISSUED_WINDOW_MS: u64 = 60_000;
/// The window in which failures are counted, in ms.
pub const FAILED_WINDOW_MS: u64 = 600_000;
/// How long a track is remembered, in ms: half an hour, about 130 bytes of Redis for each
/// of its two marks.
pub const TRACK_KEPT_MS: u64 = 1_800_000;
/// Length of a puzzle's id: 128 random bits in hexadecimal.
pub const ID_LEN: usize = 32;

/// How much is allowed in the windows above. An address may be that of a whole
/// office or mobile network.
pub const LIMITS: Tries = Tries {
    user_issued: 12,
    address_issued: 600,
    user_failed: 20,
    address_failed: 300,
};

/// A puzzle that was handed out.
#[derive(Debug, Clone, PartialEq)]
pub struct Puzzle {
    /// The buyer whom it was made for.
    pub user: String,
    /// The product that it lets them buy.
    pub item: Item,
    /// Where the piece belongs: its distance from the left, in pixels.
    pub answer: u16,
    /// When it was made, epoch milliseconds.
    pub issued_ms: u64,
    /// The counts when it was handed out; they decide how much work is needed.
    pub tries: Tries,
}

/// Why an answer is refused. For logs and counters only: a bot must not learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It was made for another account.
    NotYours,
    /// The piece was left beside the hole.
    Missed,
    /// No hand drags like this.
    Track(Flaw),
    /// The numbers do not prove the work.
    NoWork,
    /// The work was sent sooner than [`work::MIN_WAIT_MS`].
    TooSoon,
}

/// What the browser sent back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The drag; where it ends is the answer.
    Track(Vec<Moment>),
    /// The numbers of a proof of work.
    Work(Vec<u64>),
}

impl Puzzle {
    /// Its form in Redis, but for the tries, which the script appends:
    /// `user|round|product|answer|issued_ms`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (round, product) = (self.item.round(), self.item.product());
        format!(
            "{}|{round}|{product}|{}|{}",
            self.user, self.answer, self.issued_ms
        )
    }

    /// Reads it, the four tries in the order of [`Tries`] at its end; `None` if it
    /// is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('|');
        let user = fields.next().filter(|user| ids::is_user(user))?.to_owned();
        let item = Item::new(fields.next()?, fields.next()?)?;
        let (answer, issued_ms) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mut count = || fields.next()?.parse().ok();
        let tries = Tries {
            user_issued: count()?,
            address_issued: count()?,
            user_failed: count()?,
            address_failed: count()?,
        };
        fields.next().is_none().then_some(Self {
            user,
            item,
            answer,
            issued_ms,
            tries,
        })
    }

    /// Decides about an answer by `user`. `id` is the puzzle's, `base_bits` the
    /// work of a first try.
    ///
    /// # Errors
    /// The first [`Failure`].
    pub fn check(
        &self,
        id: &str,
        user: &str,
        answer: &Answer,
        base_bits: u32,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let passed_ms = now_ms.saturating_sub(self.issued_ms);
        if self.user != user {
            return Err(Failure::NotYours);
        }
        match answer {
            Answer::Track(moments) => {
                track::judge(moments, passed_ms).map_err(Failure::Track)?;
                let left = moments.last().map_or(f64::NAN, |last| last.x);
                let fits = (left - f64::from(self.answer)).abs() <= TOLERANCE;
                fits.then_some(()).ok_or(Failure::Missed)
            }
            Answer::Work(_) if passed_ms < work::MIN_WAIT_MS => Err(Failure::TooSoon),
            Answer::Work(numbers) => {
                let bits = work::bits(base_bits, self.tries);
                work::proves(id, bits, numbers)
                    .then_some(())
                    .ok_or(Failure::NoWork)
            }
        }
    }
}

/// Whether `text` can be a puzzle's id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LEN
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn puzzle() -> Puzzle {
        Puzzle {
            user: "li.wei@example.com".into(),
            item: Item::new("1", "153").unwrap(),
            answer: 180,
            issued_ms: 1_000,
            tries: Tries {
                user_issued: 1,
                address_issued: 2,
                user_failed: 3,
                address_failed: 4,
            },
        }
    }

    fn work(bits: u32) -> Answer {
        use sha2::{Digest as _, Sha256};
        let proves = |part: usize, number: u64| {
            let digest = Sha256::digest(format!("{ID}.{part}.{number}"));
            u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).leading_zeros()
                >= work::part_bits(bits)
        };
        let found = |part| (0..).find(|number| proves(part, *number)).unwrap();
        Answer::Work((0..work::PARTS).map(found).collect())
    }

    #[test]
    fn a_puzzle_reads_back_as_it_was_written() {
        let puzzle = puzzle();
        let text = format!("{}|1|2|3|4", puzzle.to_text());
        assert_eq!(Puzzle::parse(&text), Some(puzzle));
        for bad in [
            "",
            "li",
            "li|1|153|180|1000|1|2|3",
            "li|1|153|180|1000|1|2|3|4|5",
            "li|1|153|x|1000|1|2|3|4",
        ] {
            assert_eq!(Puzzle::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_its_own_buyer_can_answer_it() {
        let (puzzle, work) = (
            Puzzle {
                tries: Tries::default(),
                ..puzzle()
            },
            work(10),
        );
        assert_eq!(
            puzzle.check(ID, "li.wei@example.com", &work, 10, 60_000),
            Ok(())
        );
        assert_eq!(
            puzzle.check(ID, "wang", &work, 10, 60_000),
            Err(Failure::NotYours)
        );
    }

    #[test]
    fn work_has_to_wait_as_long_as_a_drag_takes() {
        let (puzzle, work) = (
            Puzzle {
                tries: Tries::default(),
                ..puzzle()
            },
            work(10),
        );
        let at = |now_ms| puzzle.check(ID, "li.wei@example.com", &work, 10, now_ms);
        assert_eq!(at(2_999), Err(Failure::TooSoon));
        assert_eq!(at(3_000), Ok(()));
        assert_eq!(
            Puzzle {
                tries: Tries {
                    user_failed: 6,
                    ..Tries::default()
                },
                ..puzzle.clone()
            }
            .check(ID, "li.wei@example.com", &work, 10, 3_000),
            Err(Failure::NoWork),
            "frequent failures cost more work"
        );
    }

    #[test]
    fn ids_are_thirty_two_hexadecimal_digits() {
        assert!(is_id(ID));
        for bad in [
            "",
            "0123",
            &ID.to_uppercase(),
            &format!("{ID}0"),
            "0123456789abcdef0123456789abcde::",
        ] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_piece_left_beside_the_hole_never_passes(off in prop_oneof![-180.0f64..-5.01, 5.01f64..90.0], seed: u64) {
            let way = 180.0 + off;
            let track: Vec<Moment> = (0..60u64)
                .map(|step| Moment {
                    at_ms: step as f64 * 17.0 + (seed >> (step % 60) & 1) as f64,
                    x: way * (step as f64 / 59.0).powf(0.3),
                    y: (step as f64 / 9.0).sin() * 4.0,
                })
                .collect();
            let result = puzzle().check(ID, "li.wei@example.com", &Answer::Track(track), 10, 60_000);
            prop_assert!(result.is_err());
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "[ -~]{0,80}") {
            let _ = Puzzle::parse(&text);
        }
    }
}
