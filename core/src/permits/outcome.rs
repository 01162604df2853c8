//! What became of the permit of a request that was admitted.
//!
//! The purchase role says it in a header of its response; where there is no such
//! header, the edge judges by how far the request came. Only what is certain counts: a
//! permit that may have bought something stays on its lease, and the back end settles
//! that when it is overdue.

/// The response header in which the purchase role says it, in lower case.
pub const HEADER: &str = "x-seckill-outcome";

/// What became of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It bought an item, or met stock that was gone.
    Used,
    /// It bought nothing and never will.
    Unused,
}

impl Outcome {
    /// The header's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Used => "used",
            Outcome::Unused => "unused",
        }
    }

    /// Reads the header's value.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        [Self::Used, Self::Unused]
            .into_iter()
            .find(|outcome| outcome.as_str().as_bytes() == value)
    }
}

/// How far an admitted request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// Whether nginx came to what serves the location: a client may leave before, and
    /// another access check refuse behind the gate.
    pub is_handed_over: bool,
    /// Whether a back end is what serves the location.
    pub has_upstream: bool,
    /// Servers of the back end to which a connection was made.
    pub connected: usize,
    /// Status of the back end's own response; 0 if there was none.
    pub status: u16,
    /// What the response says.
    pub told: Option<Outcome>,
}

impl Way {
    /// What certainly became of the permit; `None` if it is not known.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.told {
            Some(Outcome::Used) => Some(Outcome::Used),
            _ if !self.is_handed_over => Some(Outcome::Unused),
            // Another server, to which nginx had sent it before, may still be at it.
            Some(Outcome::Unused) => (self.connected <= 1).then_some(Outcome::Unused),
            None if self.has_upstream && self.connected == 0 => Some(Outcome::Unused),
            None if self.connected == 1 && is_refused_by_the_server(self.status) => {
                Some(Outcome::Unused)
            }
            None => None,
        }
    }
}

/// Whether an HTTP server responds so before any of its handlers sees the request.
fn is_refused_by_the_server(status: u16) -> bool {
    matches!(status, 400 | 411 | 413 | 414 | 431 | 501 | 505)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Way = Way {
        is_handed_over: true,
        has_upstream: true,
        connected: 1,
        status: 202,
        told: None,
    };

    #[test]
    fn what_the_back_end_says_counts() {
        for outcome in [Outcome::Used, Outcome::Unused] {
            assert_eq!(Outcome::parse(outcome.as_str().as_bytes()), Some(outcome));
            let told = Some(outcome);
            assert_eq!(Way { told, ..PASSED }.outcome(), Some(outcome));
        }
        assert_eq!(Outcome::parse(b"perhaps"), None);
        assert_eq!(PASSED.outcome(), None);
    }

    #[test]
    fn who_never_reached_a_back_end_used_nothing() {
        let unreached = Way {
            connected: 0,
            status: 0,
            ..PASSED
        };
        assert_eq!(unreached.outcome(), Some(Outcome::Unused));
        let left = Way {
            is_handed_over: false,
            ..Way::default()
        };
        assert_eq!(left.outcome(), Some(Outcome::Unused));
        // Not a back end's location: nobody says what became of it.
        let elsewhere = Way {
            has_upstream: false,
            ..unreached
        };
        assert_eq!(elsewhere.outcome(), None);
    }

    #[test]
    fn a_request_that_another_server_may_still_serve_is_not_known() {
        let retried = Way {
            connected: 2,
            told: Some(Outcome::Unused),
            ..PASSED
        };
        assert_eq!(retried.outcome(), None);
        let bought = Way {
            told: Some(Outcome::Used),
            ..retried
        };
        assert_eq!(bought.outcome(), Some(Outcome::Used));
    }

    #[test]
    fn what_the_http_server_itself_refused_used_nothing() {
        for (status, outcome) in [
            (400, Some(Outcome::Unused)),
            (431, Some(Outcome::Unused)),
            (409, None),
            (502, None),
            (504, None),
        ] {
            assert_eq!(Way { status, ..PASSED }.outcome(), outcome, "{status}");
        }
    }
}
