//! Redis key names (course §066, §128, §132).
//!
//! The braces are a Redis Cluster hash tag: keys with the same tag live in one
//! slot and may be touched by one script. A segment's three keys share a tag,
//! so do a product's.

/// Redis Cluster's hash slots.
pub mod slot;

use sha2::{Digest as _, Sha256};

use crate::ids::Item;

/// Hash of all approved products, `round::product` → [`crate::sale::catalogue::Entry`];
/// the field [`CATALOGUE_VERSION`] changes with every edit.
pub const CATALOGUE: &str = "seckill::catalogue";
/// The field of [`CATALOGUE`] by which an edge knows whether to read the rest again.
pub const CATALOGUE_VERSION: &str = "version";
/// Sorted set of edges, [`crate::edge::EdgeLine`] → until when its last heartbeat
/// counts, in ms by Redis's clock; negative once the others have taken the edge for dead.
pub const EDGES: &str = "seckill::edges";
/// Queue of order messages: the stream that the relay fills and the workers read.
pub const QUEUE_ORDERS: &str = "seckill::queue::orders";
/// Queue of orders that are cancelled when they are due and not yet paid.
pub const QUEUE_CANCELS: &str = "seckill::queue::cancels";
/// Order messages that no worker could place, with the reason.
pub const QUEUE_DEAD_LETTERS: &str = "seckill::queue::dead_letters";

/// Hash: URL of a JWK Set → the set as JSON, for the edges, which fetch none themselves.
pub const JWKS: &str = "seckill::{jwks}::sets";
/// Set by an edge that was shown a token of a key which is not in its set, so that the
/// back end fetches the sets again; gone when it has.
pub const JWKS_WANTED: &str = "seckill::{jwks}::wanted";

/// Stream of product messages: `round` changed, so that its pages and the documents
/// of its days may be out of date. The id of its last entry is the version of what
/// shoppers see.
pub const PRODUCT_MESSAGES: &str = "seckill::products::messages";
/// Hash: renderer → what it last reported of itself, as JSON.
pub const RENDERERS: &str = "seckill::renderers";

/// Hash: who is banned, see [`crate::shared::bans::listed`].
pub const BANS: &str = "seckill::{bans}::list";
/// Sorted set: bans that end by themselves, scored by when, in ms.
pub const BANS_EXPIRING: &str = "seckill::{bans}::expiring";
/// Stream: the latest changes of [`BANS`], so that an edge need not read all again.
pub const BANS_CHANGES: &str = "seckill::{bans}::changes";
/// Id of the last entry of [`BANS_CHANGES`]. After an edit of the list by hand, set
/// it to anything else; every edge then reads the whole list.
pub const BANS_VERSION: &str = "seckill::{bans}::version";
/// Hash: sessions and tokens that are revoked, see [`crate::shared::bans::listed`].
pub const REVOKED: &str = "seckill::{revoked}::list";
/// Sorted set: the fields of [`REVOKED`], scored by when they would have ended, in ms.
pub const REVOKED_EXPIRING: &str = "seckill::{revoked}::expiring";
/// Stream: the latest changes of [`REVOKED`], so that an edge need not read all again.
pub const REVOKED_CHANGES: &str = "seckill::{revoked}::changes";
/// Id of the last entry of [`REVOKED_CHANGES`]. After an edit of the list by hand, set
/// it to anything else.
pub const REVOKED_VERSION: &str = "seckill::{revoked}::version";
/// Stream of buyers who may buy a product again, with `item` and `user`: the edges
/// read it and forget that they have admitted them.
pub const REGRABS: &str = "seckill::regrabs";

/// Hash: how far the analysis of access logs is; expires when no analysis runs.
pub const ANALYSIS: &str = "seckill::analysis";

/// How long messages of [`QUEUE_ORDERS`] wait at the moment, in ms, as a worker last
/// measured it; expires when no worker has for a while.
pub const QUEUE_AGE: &str = "seckill::queue::age";
/// Which instance redrove the dead letters last; expires when the next redrive is
/// due.
pub const REDRIVER: &str = "seckill::queue::redriver";

/// Written by health checks, to see that Redis takes a write.
pub const HEALTH: &str = "seckill::health";

/// Counter that gives each orders worker a number of its own.
pub const WORKERS: &str = "seckill::workers";
/// Hash: how many orders the site may place now, see `lua/queue/allow.lua`.
pub const ORDERS_ALLOWED: &str = "seckill::orders::allowed";
/// Counter: permits that the back end returned because an edge did not.
pub const RECLAIMED: &str = "seckill::reclaimed";
/// Which instance reclaims leases at the moment.
pub const RECLAIMER: &str = "seckill::reclaimer";

/// The purchase of which an order of this number is placed, as the JSON of an
/// [`crate::orders::message::OrderMessage`]: written when its buyer reads the number.
#[must_use]
pub fn promised(order: u64) -> String {
    format!("seckill::order::{order}::purchase")
}

/// Where the buyer pays an order that no database has yet, as JSON.
#[must_use]
pub fn promised_checkout(order: u64, provider: &str) -> String {
    format!("seckill::order::{order}::checkout::{provider}")
}

/// Set: numbers of a buyer's orders that no database had when they read them.
#[must_use]
pub fn promised_to(user: &str) -> String {
    format!("seckill::buyer::{user}::promised")
}

/// The language in which a buyer bought last, a BCP 47 tag; lapses after a month.
#[must_use]
pub fn language(user: &str) -> String {
    format!("seckill::buyer::{user}::language")
}

/// Sorted set: messages of the queue `stream` that are kept back, scored by when
/// they are due in ms. In one slot with the stream.
#[must_use]
pub fn delayed(stream: &str) -> String {
    format!("{{{stream}}}::delayed")
}

/// Sorted set: the rounds of `date` (`YYYY-MM-DD`), scored by start in ms.
#[must_use]
pub fn rounds(date: &str) -> String {
    format!("seckill::{{{date}}}::rounds")
}

/// A day's document as it was last assembled: hash of `version`, `at_ms` and `body`.
#[must_use]
pub fn day_document(name: &str) -> String {
    format!("seckill::{{day::{name}}}::document")
}

/// Which instance assembles a day's document at the moment: its random token.
#[must_use]
pub fn day_lock(name: &str) -> String {
    format!("seckill::{{day::{name}}}::lock")
}

/// Hash: a round's name and times.
#[must_use]
pub fn round_info(round: &str) -> String {
    format!("seckill::round::{{{round}}}::info")
}

/// Sorted set: a round's products, scored by position.
#[must_use]
pub fn round_products(round: &str) -> String {
    format!("seckill::round::{{{round}}}::products")
}

/// The field of [`info`] that says how many permits there are.
pub const INFO_LIMIT: &str = "limit";

/// Hash: what a shopper sees of a product in a round.
#[must_use]
pub fn info(item: &Item) -> String {
    format!("seckill::{{{item}}}::info")
}

/// Counter: permits granted to all edges and not returned.
#[must_use]
pub fn permits(item: &Item) -> String {
    format!("seckill::{{{item}}}::permits")
}

/// Hash: open leases, lease id → `amount:taken_ms`.
#[must_use]
pub fn leases(item: &Item) -> String {
    format!("seckill::{{{item}}}::leases")
}

/// Hash: what edges reported of their open leases, lease id → `used:returned`.
#[must_use]
pub fn reports(item: &Item) -> String {
    format!("seckill::{{{item}}}::reports")
}

/// String: fingerprints of the buyers whom edges admitted, 8 bytes each
/// ([`crate::shared::winners`]).
#[must_use]
pub fn winners(item: &Item) -> String {
    format!("seckill::{{{item}}}::winners")
}

/// Set: refunds already returned to [`permits`], so that each counts once.
#[must_use]
pub fn refunds(item: &Item) -> String {
    format!("seckill::{{{item}}}::refunds")
}

/// Hash: items that are about to be for sale again, and whose permits are not back yet
/// ([`crate::permits::reopening`]); id of the refund, or of the change → since when.
#[must_use]
pub fn reopening(item: &Item) -> String {
    format!("seckill::{{{item}}}::reopening")
}

/// Hash: adjustments of the amount that were carried out, request id → amount.
#[must_use]
pub fn adjusted(item: &Item) -> String {
    format!("seckill::{{{item}}}::adjusted")
}

/// Which instance is adjusting the amount at the moment.
#[must_use]
pub fn adjusting(item: &Item) -> String {
    format!("seckill::{{{item}}}::adjusting")
}

/// Hash: permits that transfers to other sites took off the limit, transfer id → permits; see
/// `lua/permits/give.lua`.
#[must_use]
pub fn giving(item: &Item) -> String {
    format!("seckill::{{{item}}}::giving")
}

/// String: how long this site may still sell, see [`crate::sites::lease`].
pub const SITE_LEASE: &str = "seckill::site::lease";

/// Hash: what other sites reported last, site → JSON.
pub const SITE_REPORTS: &str = "seckill::site::reports";

/// The field of [`stock`] that says why nothing changes in the segment: its Redis has
/// forgotten events.
pub const STOCK_HALTED: &str = "halted";
/// What that field begins with while only journals are replayed; then comes until when,
/// epoch ms.
pub const HALTED_REPLAYS: &str = "replays|";

/// Hash: a segment's `sale_stock_amount`, `locked_stock_amount`, `saled_stock_amount`.
#[must_use]
pub fn stock(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::stock")
}

/// Hash: user → [`crate::orders::purchase::BuyerRecord`].
#[must_use]
pub fn buyers(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::buyers")
}

/// Hash: the buyers' records while a rebuild writes them; then they are renamed.
#[must_use]
pub fn buyers_rebuilt(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::buyers::rebuilt")
}

/// Stream: the segment's events, written in the same step as the stock.
#[must_use]
pub fn outbox(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::outbox")
}

/// Hash: how far purchase journals were replayed on this segment, id of a journal's file
/// → number of its last record that was replayed.
#[must_use]
pub fn journals(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::journals")
}

/// Hash: user → [`crate::orders::purchase::BuyerRecord`] of a journalled request that
/// bought nothing when it was replayed.
#[must_use]
pub fn refused(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::refused")
}

/// Set: `user|request` of each purchase that this segment has forgotten and that waits in a
/// journal to be made again.
#[must_use]
pub fn forgotten(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::forgotten")
}

/// Set: `user|request` of each purchase that was in [`forgotten`], was not made again in time,
/// and is not waited for any more.
#[must_use]
pub fn given_up(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::given_up")
}

/// Hash: adjustments of this segment's amount, request id → items added or removed.
#[must_use]
pub fn adjustments(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::adjustments")
}

/// Hash: stock that has left this segment for another and is not known to have
/// arrived, transfer id → `items|destination|at_ms`.
#[must_use]
pub fn transit(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::transit")
}

/// Hash: transfers that arrived, here or from here, transfer id →
/// `in|items|source` or `out|items|destination`.
#[must_use]
pub fn transfers(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::transfers")
}

/// HyperLogLog: who saw a product, by account or, for strangers, by address and
/// browser.
#[must_use]
pub fn visitors(item: &Item) -> String {
    format!("seckill::{{{item}}}::visitors")
}

/// Bitmap: who clicked to buy a product, see [`crate::suspicion::participants`].
#[must_use]
pub fn participants(item: &Item) -> String {
    format!("seckill::{{{item}}}::participants")
}

/// Sorted set: products (`round::product`) of `date` (`YYYY-MM-DD`), scored by
/// views of their pages and clicks.
#[must_use]
pub fn hot(date: &str) -> String {
    format!("seckill::{{{date}}}::hot")
}

/// The product and segment whose outbox has this key.
#[must_use]
pub fn parse_outbox(key: &str) -> Option<(Item, u16)> {
    let tag = key.strip_prefix("seckill::{")?.strip_suffix("}::outbox")?;
    let (item, segment) = tag.rsplit_once("::")?;
    Some((Item::parse(item)?, segment.parse().ok()?))
}

/// Hash: what this segment saw of each lease, lease id → permits seen, or
/// `closed:seen` once the lease was closed; and permit id → the answer to give again, of
/// each permit that is spent and that no buyer's record names.
#[must_use]
pub fn spent(item: &Item, segment: u16) -> String {
    format!("seckill::{{{item}::{segment:02}}}::spent")
}

/// String: which request has spent the captcha pass with this nonce; gone when
/// the pass has expired.
#[must_use]
pub fn pass(item: &Item, segment: u16, nonce: &str) -> String {
    format!("seckill::{{{item}::{segment:02}}}::pass::{nonce}")
}

/// String: a puzzle that was handed out, [`crate::captcha::puzzle::Puzzle`]; removed by
/// the first answer. All keys of puzzles share a tag and are used with no others,
/// so that they may live in a Redis of their own.
#[must_use]
pub fn puzzle(id: &str) -> String {
    format!("seckill::{{captcha}}::puzzle::{id}")
}

/// Hash: a bucket of `seckill_rate key=… scope=site`, of one key of a zone. The key
/// itself, which may be anything, is in it as half of its SHA-256.
#[must_use]
pub fn rate(zone: &str, key: &[u8]) -> String {
    let digest = Sha256::digest(key);
    let digest = digest.iter().take(16);
    let digest: String = digest.map(|byte| format!("{byte:02x}")).collect();
    format!("seckill::rate::{{{zone}::{digest}}}")
}

/// Counter: puzzles that this account or address was handed in the window, see
/// [`crate::captcha::puzzle::ISSUED_WINDOW_MS`]. `who` is `user:…` or `address:…`.
#[must_use]
pub fn puzzles_issued(who: &str) -> String {
    format!("seckill::{{captcha}}::issued::{who}")
}

/// Counter: answers of this account or address that failed in the window, see
/// [`crate::captcha::puzzle::FAILED_WINDOW_MS`].
#[must_use]
pub fn puzzles_failed(who: &str) -> String {
    format!("seckill::{{captcha}}::failed::{who}")
}

/// String: a track with this mark ([`crate::captcha::track::marks`]) was accepted recently.
#[must_use]
pub fn track(mark: [u8; 8]) -> String {
    format!(
        "seckill::{{captcha}}::track::{:016x}",
        u64::from_be_bytes(mark)
    )
}

/// Text: what operators say to everybody who waits, as JSON; it expires with its time.
pub const ANNOUNCEMENT: &str = "seckill::announcement";

/// Text: which ops role posts the board's alerts at the moment.
pub const ALERT_SENDER: &str = "seckill::alert_sender";

/// Hash: a session at the console, named by the digest of its id, so that reading
/// Redis is not enough to use it.
#[must_use]
pub fn console_session(digest: &str) -> String {
    format!("seckill::console::session::{digest}")
}

/// Sorted set: the digests of an account's sessions at the console, by their begin.
#[must_use]
pub fn console_sessions(account: &str) -> String {
    format!("seckill::console::sessions::{account}")
}

/// Text: the secret of a second factor that somebody is setting up, by their session.
#[must_use]
pub fn console_totp(digest: &str) -> String {
    format!("seckill::console::totp::{digest}")
}

/// Text: a login by single sign-on that is under way, by the digest of its `state`.
#[must_use]
pub fn console_login(digest: &str) -> String {
    format!("seckill::console::login::{digest}")
}

/// Counter: recent attempts to log in, by `account:NAME` or `address:ADDRESS`.
#[must_use]
pub fn console_tries(whose: &str) -> String {
    format!("seckill::console::tries::{whose}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_bear_the_published_names() {
        let item = Item::new("1", "153").unwrap();
        assert_eq!(rounds("2026-11-23"), "seckill::{2026-11-23}::rounds");
        assert_eq!(round_info("1"), "seckill::round::{1}::info");
        assert_eq!(round_products("1"), "seckill::round::{1}::products");
        assert_eq!(info(&item), "seckill::{1::153}::info");
        assert_eq!(permits(&item), "seckill::{1::153}::permits");
        assert_eq!(winners(&item), "seckill::{1::153}::winners");
        assert_eq!(stock(&item, 1), "seckill::{1::153::01}::stock");
        assert_eq!(buyers(&item, 1), "seckill::{1::153::01}::buyers");
        assert_eq!(outbox(&item, 12), "seckill::{1::153::12}::outbox");
        assert_eq!(
            rate("login", b"li"),
            "seckill::rate::{login::00a9e4255a5b63067b76cbfb9fd67f26}"
        );
        assert_eq!(pass(&item, 1, "0f"), "seckill::{1::153::01}::pass::0f");
        assert_eq!(puzzle("0f"), "seckill::{captcha}::puzzle::0f");
        assert_eq!(
            track([0, 0, 0, 0, 0, 0, 1, 2]),
            "seckill::{captcha}::track::0000000000000102"
        );
        assert_eq!(transit(&item, 2), "seckill::{1::153::02}::transit");
        assert_eq!(transfers(&item, 2), "seckill::{1::153::02}::transfers");
        assert_eq!(parse_outbox(&outbox(&item, 12)), Some((item, 12)));
        assert_eq!(
            visitors(&Item::new("1", "2").unwrap()),
            "seckill::{1::2}::visitors"
        );
        assert_eq!(
            participants(&Item::new("1", "2").unwrap()),
            "seckill::{1::2}::participants"
        );
        assert_eq!(hot("2026-11-23"), "seckill::{2026-11-23}::hot");
        assert_eq!(parse_outbox(QUEUE_ORDERS), None);
    }
}
