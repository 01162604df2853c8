//! Every figure by which the analysis judges: scores, counts, and times in ms.

/// From this score on an account or address is shown to an operator.
pub const PROPOSE: u32 = 60;
/// From this score on it is certainly a program.
pub const BAN: u32 = 100;

/// How long a log must have been watched before the absence of page requests says
/// anything: a page asks for the time every 30 s, and a browser lets a hidden one
/// do so at least once a minute.
pub const WATCHED_MS: u64 = 65_000;
/// How much later than others a line may arrive: nginx's workers each keep lines
/// back for a second.
pub const SETTLE_MS: u64 = 2_000;
/// An open page asks for the time every 30 s: an account that sent nothing for so long,
/// in ms, has none, unless it was put aside.
pub const QUIET_MS: u64 = 35_000;
/// A log without a line for so long, in ms, is not waited for.
pub const UNHEARD_MS: u64 = 60_000;
/// An account that was idle for so long, in ms, starts clean.
pub const FORGET_MS: u64 = 1_800_000;

/// Clicks within [`PACE_MS`] that no page makes: it rests its button for 30 s.
pub const PACE_CLICKS: usize = 5;
/// The same without any innocent explanation.
pub const PACE_CLICKS_SURE: usize = 10;
/// The time in which [`PACE_CLICKS`] count.
pub const PACE_MS: u64 = 10_000;
/// Intervals between clicks that are needed to call them even.
pub const EVEN_INTERVALS: usize = 8;
/// Standard deviation by mean: people who tap a rhythm stay above 3 %, those who
/// try to be quick above 10 %.
pub const EVEN_SPREAD: f64 = 0.03;
/// A first click so soon after the opening, in ms: a person needs 150 to see and
/// react, and the request has to travel.
pub const REACTION_MS: u64 = 60;
/// URLs requested before they are handed out: a page does so only if its clock is a
/// moment off.
pub const EARLY: u32 = 3;
/// URLs that were not signed by us for this buyer.
pub const FORGED: u32 = 3;
/// Clicks for a product that the account has bought.
pub const SECOND_CLICKS: u32 = 3;
/// Accounts at one address that may be in step.
pub const GROUP: usize = 8;
/// In step: so near together, in ms. First clicks of people who saw the same
/// button open are spread over several hundred.
pub const STEP_MS: u64 = 50;
/// Part of those who try to buy at an address, in percent, that must be in step.
pub const STEP_PERCENT: usize = 60;
/// Accounts like programs that condemn their address …
pub const COMPANY: usize = 5;
/// … if they are at least so many percent of all who try to buy there.
pub const COMPANY_PERCENT: usize = 80;
/// Forged URLs without a login from one address.
pub const FORGED_BY_STRANGERS: u32 = 20;
/// Rounds that an account attends before "never at any other time" means anything.
pub const ATTENDED: u32 = 3;
