//! Whether a page of the shop was open when somebody clicked.
//!
//! A page asks for the time every 30 s, whatever it shows, and for the product's
//! state every two seconds while it can be clicked. One that was put aside (a
//! locked phone, another tab, a laptop that slept) asks for both in the moment in
//! which it is looked at again, before anybody can click. So a click with nothing
//! before it for half a minute and nothing after it came from no page.

/// Looks that are kept, at least [`APART_MS`] from each other.
const LOOKS: usize = 8;
/// Looks nearer together count as one.
const APART_MS: u64 = 1_000;
/// First clicks that are kept.
const CLICKS: usize = 8;

/// A page asks again so soon after a click, also one whose requests wait in a slow
/// network or at a shop under load: it does so every two seconds.
pub(super) const AFTER_MS: u64 = 15_000;

/// A click, and the looks next to it.
#[derive(Debug, Clone, Copy)]
struct Click {
    at_ms: u64,
    before_ms: Option<u64>,
    after_ms: Option<u64>,
}

/// Clicks without a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absence {
    /// How many clicks there were.
    pub(super) clicks: u32,
    /// How long nothing was asked before one of them, at most, in ms.
    pub(super) silent_ms: u64,
    /// When the last of them came.
    pub(super) last_ms: u64,
}

/// One account's looks and first clicks. Lines come in nearly any order.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence {
    looks: Vec<u64>,
    /// The newest look that is not kept any more.
    dropped_ms: Option<u64>,
    clicks: Vec<Click>,
}

impl Presence {
    /// A page asked for something.
    pub(super) fn look(&mut self, at_ms: u64) {
        for click in &mut self.clicks {
            click.note(at_ms);
        }
        let at = self.looks.partition_point(|look| *look < at_ms);
        let is_near = |look: Option<&u64>| look.is_some_and(|it| it.abs_diff(at_ms) < APART_MS);
        if is_near(self.looks.get(at)) || at > 0 && is_near(self.looks.get(at - 1)) {
            return;
        }
        self.looks.insert(at, at_ms);
        if self.looks.len() > LOOKS {
            self.dropped_ms = self.dropped_ms.max(Some(self.looks.remove(0)));
        }
    }

    /// Somebody clicked on a product for the first time.
    pub(super) fn click(&mut self, at_ms: u64) {
        let mut click = Click {
            at_ms,
            before_ms: None,
            after_ms: None,
        };
        for look in &self.looks {
            click.note(*look);
        }
        // A line that comes so late finds only what came after it.
        if let Some(look) = self.dropped_ms {
            click.note(look.min(at_ms));
        }
        if self.clicks.len() == CLICKS {
            self.clicks.remove(0);
        }
        self.clicks.push(click);
    }

    /// The first clicks of the past, without the looks around them.
    pub(super) fn after_a_while(&mut self) -> Self {
        Self {
            clicks: std::mem::take(&mut self.clicks),
            ..Self::default()
        }
    }

    /// Clicks with nothing before them for `silent_ms` and nothing after, as far as
    /// the logs are known up to `heard_ms`. The account is known since `since_ms`.
    pub(super) fn absence(&self, silent_ms: u64, since_ms: u64, heard_ms: u64) -> Option<Absence> {
        let silence = |click: &Click| {
            let is_known = click.at_ms + AFTER_MS <= heard_ms;
            let came_back = click
                .after_ms
                .is_some_and(|at| at <= click.at_ms + AFTER_MS);
            let from_ms = click.before_ms.unwrap_or(since_ms);
            let silent = click.at_ms.saturating_sub(from_ms);
            (is_known && !came_back && silent >= silent_ms).then_some((silent, click.at_ms))
        };
        let silences: Vec<(u64, u64)> = self.clicks.iter().filter_map(silence).collect();
        let (silent_ms, last_ms) = silences
            .iter()
            .copied()
            .reduce(|one, next| (one.0.max(next.0), one.1.max(next.1)))?;
        Some(Absence {
            clicks: u32::try_from(silences.len()).unwrap_or(u32::MAX),
            silent_ms,
            last_ms,
        })
    }

    /// Until when the logs have to be known to judge the last click.
    pub(super) fn open_until_ms(&self) -> u64 {
        self.clicks
            .iter()
            .map(|click| click.at_ms + AFTER_MS)
            .max()
            .unwrap_or(0)
    }
}

impl Click {
    fn note(&mut self, look_ms: u64) {
        if look_ms <= self.at_ms {
            self.before_ms = self.before_ms.max(Some(look_ms));
        } else {
            let sooner = self.after_ms.map_or(look_ms, |at| at.min(look_ms));
            self.after_ms = Some(sooner);
        }
    }
}
