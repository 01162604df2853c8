//! A crowd of buyers as requests and bytes: what a sale asks of edges, lines and CDN.
//!
//! Worked example. 100,000 buyers come within 60 seconds, each with ten requests to the
//! edge, and the busiest second has three times as many as the mean: 100,000 × 10 / 60
//! × 3 = 50,000 requests a second. Each loads a page of 60,000 bytes with a picture of
//! 50,000: 11 GB, at the busiest second 4,400 Mbit/s. A CDN that answers 99 of 100 by
//! itself leaves 44 Mbit/s to the origin; without it all 4,400 are the origin's.

use serde::Serialize;

/// Who comes, and when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Crowd {
    /// Buyers, each with a page open.
    pub buyers: u64,
    /// Within how many seconds they come.
    pub seconds: f64,
    /// Requests of each to the edge: time, state, path, click, result.
    pub requests_each: f64,
    /// How many times the mean the busiest second has.
    pub peak: f64,
}

impl Crowd {
    /// Requests a second in the busiest second.
    #[must_use]
    pub fn rps(&self) -> f64 {
        self.buyers as f64 * self.requests_each * self.busiest_share()
    }

    /// Which part of everything falls into the busiest second; all of it at most.
    fn busiest_share(&self) -> f64 {
        (self.peak / self.seconds.max(1.0)).min(1.0)
    }
}

/// What a page weighs over the wire, compressed where it is served so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PageWeight {
    /// The page with its scripts and style sheets, in bytes.
    pub page_bytes: f64,
    /// The picture that the page shows, in bytes.
    pub picture_bytes: f64,
}

/// Bytes and rates that the viewers of pages cause.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Traffic {
    /// Bytes of one viewer.
    pub bytes_each: f64,
    /// Gigabytes (10^9 bytes) that the CDN sends.
    pub cdn_gigabytes: f64,
    /// Megabits a second that the CDN sends in the busiest second.
    pub cdn_megabits: f64,
    /// Megabits a second that the CDN takes from the origin then.
    pub origin_megabits: f64,
    /// Megabits a second from the origin if the CDN's budget is used up and all come to
    /// the origin.
    pub origin_alone_megabits: f64,
}

/// Computes the traffic of a crowd of which each loads one page once. `hit` is the share
/// of requests that the CDN answers by itself, 0 to 1.
#[must_use]
pub fn traffic(crowd: &Crowd, weight: &PageWeight, hit: f64) -> Traffic {
    let each = weight.page_bytes + weight.picture_bytes;
    let bytes = crowd.buyers as f64 * each;
    let busiest = bytes * crowd.busiest_share() * 8.0 / 1e6;
    Traffic {
        bytes_each: each,
        cdn_gigabytes: bytes / 1e9,
        cdn_megabits: busiest,
        origin_megabits: busiest * (1.0 - hit.clamp(0.0, 1.0)),
        origin_alone_megabits: busiest,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CROWD: Crowd = Crowd {
        buyers: 100_000,
        seconds: 60.0,
        requests_each: 10.0,
        peak: 3.0,
    };
    const WEIGHT: PageWeight = PageWeight {
        page_bytes: 60_000.0,
        picture_bytes: 50_000.0,
    };

    #[test]
    fn the_worked_example_comes_out() {
        assert!((CROWD.rps() - 50_000.0).abs() < 1e-6);
        let found = traffic(&CROWD, &WEIGHT, 0.99);
        assert!((found.cdn_gigabytes - 11.0).abs() < 1e-9);
        assert!((found.cdn_megabits - 4_400.0).abs() < 1e-6);
        assert!((found.origin_megabits - 44.0).abs() < 1e-6);
        assert!((found.origin_alone_megabits - 4_400.0).abs() < 1e-6);
    }

    #[test]
    fn a_crowd_that_comes_within_a_second_asks_for_all_of_it_then() {
        let at_once = Crowd {
            seconds: 1.0,
            ..CROWD
        };
        assert!((at_once.rps() - 1_000_000.0).abs() < 1e-6);
    }

    proptest! {
        /// More buyers, heavier pages and fewer hits never take less.
        #[test]
        fn it_grows_with_what_causes_it(
            buyers in 1_u64..10_000_000, more in 1_u64..5, hit in 0.0..1.0_f64,
        ) {
            let one = Crowd { buyers, ..CROWD };
            let two = Crowd { buyers: buyers * more, ..CROWD };
            let (a, b) = (traffic(&one, &WEIGHT, hit), traffic(&two, &WEIGHT, hit));
            prop_assert!(b.cdn_gigabytes >= a.cdn_gigabytes && two.rps() >= one.rps());
            prop_assert!(a.origin_megabits <= a.origin_alone_megabits);
        }
    }
}
