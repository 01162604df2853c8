use proptest::collection::vec;
use proptest::prelude::*;

use super::header::{Header, HeaderError, VERSION};
use super::position::Position;
use super::request::{Pass, Request};
use super::scan::scan;
use super::*;

const FIRST: u64 = 41;

fn head() -> Header {
    Header {
        journal: Id([1; 16]),
        file: Id([2; 16]),
        number: 3,
        first: FIRST,
    }
}

/// A file with these bodies, and where each frame ends.
fn file(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = head().encode().to_vec();
    let mut ends = Vec::new();
    for (seq, body) in (FIRST..).zip(bodies) {
        frame::append(&mut bytes, &head().file, seq, body);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 1..300), 1..20)
}

fn request() -> Request {
    Request {
        at_ms: 1_700_000_000_000,
        round: "1".into(),
        product: "153".into(),
        segment: 2,
        segments: 3,
        user: "li".into(),
        request: "r-1".into(),
        quantity: 1,
        price_cents: 99_900,
        permit: "e.l.1".into(),
        pass: Some(Pass {
            nonce: "0f".into(),
            expires_ms: 1_700_000_060_000,
        }),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// A process that is killed at any byte: all records before that byte are there,
    /// none is invented, whatever the disk had behind it.
    #[test]
    fn a_file_that_breaks_off_anywhere_keeps_every_whole_record(
        bodies in bodies(),
        cut in any::<prop::sample::Index>(),
        behind in vec(prop_oneof![4 => Just(0_u8), 1 => any::<u8>()], 0..60),
    ) {
        let (mut bytes, ends) = file(&bodies);
        let cut = header::LEN + cut.index(bytes.len() - header::LEN + 1);
        bytes.truncate(cut);
        bytes.extend(behind);
        let scan = scan(&bytes).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        prop_assert!(scan.frames.len() >= whole);
        for (at, frame) in scan.frames.iter().enumerate() {
            prop_assert_eq!(frame.seq, FIRST + at as u64);
            prop_assert_eq!(frame.body, &bodies[at]);
        }
        prop_assert_eq!(scan.lost(), 0);
    }

    /// A flipped bit costs the record that it is in, and it is known that one is lost;
    /// in the last record it cannot be told from one that was not written to its end.
    #[test]
    fn a_flipped_bit_costs_one_record_and_is_noticed(
        bodies in bodies(),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut bytes, ends) = file(&bodies);
        let at = header::LEN + place.index(bytes.len() - header::LEN);
        bytes[at] ^= 1 << bit;
        let hit = ends.iter().filter(|end| **end <= at).count();
        let scan = scan(&bytes).unwrap();
        let found: Vec<u64> = scan.frames.iter().map(|frame| frame.seq - FIRST).collect();
        let others: Vec<u64> = (0..bodies.len() as u64).filter(|n| *n != hit as u64).collect();
        prop_assert_eq!(found, others);
        let is_last = hit + 1 == bodies.len();
        prop_assert_eq!(scan.lost(), u64::from(!is_last));
        prop_assert_eq!(scan.torn_at.is_some(), is_last);
    }

    #[test]
    fn no_bytes_whatsoever_make_a_reader_fail(bytes in vec(any::<u8>(), 0..400)) {
        let mut file = head().encode().to_vec();
        file.extend(&bytes);
        prop_assert_eq!(scan(&file).unwrap().frames.len(), 0);
        let _ = Header::parse(&bytes);
        let _ = Request::parse(&bytes);
        let _ = Position::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_lost_block_between_records_is_counted() {
    let bodies: Vec<Vec<u8>> = (0..40).map(|n| vec![n; 200]).collect();
    let (mut bytes, ends) = file(&bodies);
    bytes[ends[4] + 3..ends[9] - 3].fill(0);
    let scan = scan(&bytes).unwrap();
    assert_eq!((scan.frames.len(), scan.lost()), (35, 5));
    assert_eq!((scan.next(), scan.torn_at), (FIRST + 40, None));
}

#[test]
fn records_of_another_file_are_not_taken_for_its_own() {
    let (mut bytes, _) = file(&[b"one".to_vec()]);
    // What a block held before: a frame of an earlier file that fits exactly.
    frame::append(&mut bytes, &Id([9; 16]), FIRST + 1, b"two");
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.frames.len(), 1);
    assert!(scan.torn_at.is_some());
}

#[test]
fn a_header_of_another_version_or_with_a_flipped_bit_is_refused() {
    let sound = head().encode();
    assert_eq!(Header::parse(&sound), Ok(head()));
    let mut newer = sound;
    newer[8] = 9;
    assert_eq!(Header::parse(&newer), Err(HeaderError::Version(9)));
    let mut older = sound;
    older[8..10].copy_from_slice(&(VERSION - 1).to_le_bytes());
    assert_eq!(Header::parse(&older), Err(HeaderError::Version(0)));
    for at in 10..header::LEN {
        let mut flipped = sound;
        flipped[at] ^= 4;
        assert_eq!(Header::parse(&flipped), Err(HeaderError::Damaged), "{at}");
    }
    assert_eq!(Header::parse(&sound[..40]), Err(HeaderError::Damaged));
    assert_eq!(Header::parse(b"nonsense"), Err(HeaderError::NoJournal));
}

#[test]
fn a_position_reads_back_and_a_damaged_one_does_not() {
    let position = Position {
        journal: Id([7; 16]),
        seq: 12_345,
    };
    let text = position.encode();
    assert_eq!(Position::parse(&text), Some(position));
    assert_eq!(Position::parse(&text.replace("12345", "12346")), None);
    assert_eq!(Position::parse(text.trim_end()), None);
}

#[test]
fn a_request_reads_back_and_one_with_a_wrong_field_does_not() {
    let sound = request();
    assert_eq!(Request::parse(&sound.encode()), Ok(sound.clone()));
    assert!(sound.encode().len() < frame::MAX_BODY);
    let wrong = [
        Request {
            user: "l i".into(),
            ..sound.clone()
        },
        Request {
            round: "a}".into(),
            ..sound.clone()
        },
        Request {
            request: String::new(),
            ..sound.clone()
        },
        Request {
            segment: 4,
            ..sound.clone()
        },
        Request {
            quantity: 0,
            ..sound.clone()
        },
        Request {
            permit: "x".into(),
            ..sound
        },
    ];
    for request in wrong {
        assert!(Request::parse(&request.encode()).is_err(), "{request:?}");
    }
}
