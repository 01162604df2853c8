//! Every integration test of the back end, in one program: linked once, and with
//! the library's asynchronous code compiled once. Run one by its name, such as
//! `cargo test -p seckill payments::`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]
#![allow(
    unreachable_pub,
    reason = "what is common is written as if it were a library"
)]

/// Purchases that an edge vouches for, and those that only say so.
mod admission;
/// The analysis role on a real Redis and a real database: what is written into an
/// access log, and who is banned for it.
mod analysis;
/// The archive of the ledger on a real Redis and a real database.
mod archive;
/// `seckill bans`: what an operator types and reads, and what edges enforce.
mod bans;
/// The live board, and operators' other tasks: bans, dead letters, refunds,
/// amounts; on a real Redis and a real database.
mod board;
/// `seckill capacity`: machines for a sale, from what was measured here.
mod capacity;
/// The captcha: puzzles, commercial services, and the passes that they earn.
mod captcha;
/// What tests of the back end share: a redis-server of their own, a product on sale,
/// buyers with valid sessions and URLs.
mod common;
/// The console: logging in, rounds, and what attackers and typing mistakes try.
mod console;
/// A database that stands still with its connections open.
mod database_hangs;
/// Logging in at database servers, and whether that is encrypted.
mod database_tls;
/// `seckill doctor`: what is wrong with a machine, and the cures.
mod doctor;
mod drill;
/// A Redis that comes back older than what was sold from it.
mod fence;
/// The responses of the purchase role: every refusal with its stable code.
mod flow_http;
/// From a click over HTTP to an order in the database, on real parts.
mod flow_path;
/// The queue over Redis Streams, the relay's dead letters, the store, and the link
/// itself.
mod flow_queue;
/// The relay, with itself dying and its surroundings broken.
mod flow_relay;
/// The queue over a real RocketMQ.
mod flow_rocketmq;
/// The scripts under `lua/`, on a real Redis.
mod flow_scripts;
/// Purchases while Redis does not answer: the journal on disk, and its replay.
mod journal;
/// Leases that are done with, and what `seckill verify` counts of them.
mod leases;
/// Who the buyer is: their ids, other people's cookies, what an edge vouches for.
mod login;
/// `/metrics` of every role.
mod metrics;
/// Import and approval: what the database, Redis and the pages hold afterwards.
mod ops_approval;
/// Commands in the audit log: who changed what, and nothing that was not changed.
mod ops_audit;
/// Which layer wins, and what is said of a value that makes no sense.
mod ops_config;
/// The shop's own inventory: held at the approval, returned after the end, compared.
mod ops_inventory;
/// A round of ten thousand products: imported, approved, rendered, and right.
mod ops_many;
/// `seckill orders …`, as an operator uses it.
mod ops_orders;
/// Mistakes in a sale file, each reported with its place and its cure.
mod ops_sale_file;
mod ops_status;
/// `seckill up` without nginx: starts, is healthy, and leaves nothing behind, however
/// it ends.
mod ops_up;
/// Orders for operators: found, exported, cancelled, refunded.
mod order_desk;
/// The order feed: what the shop's own systems get, in which order, and how often.
mod order_feed;
/// The order form: what buyers fill in, and what cannot be paid before.
mod order_form;
/// How many orders all workers of a site place a second.
mod orders_rate;
/// The orders role: retries, dead letters, backlogs, unpaid orders.
mod orders_role;
/// The renderer on real files and a real Redis: what stands in the CDN origin, what
/// caches get as purges, and what is removed again; and the day's document.
mod pages;
/// Paying, cancelling and expiring, from the HTTP call to the stock.
mod payments;
/// What is PostgreSQL's own: logging in, its tables, a server that is killed.
mod postgres;
/// Redis by TLS: servers, Sentinels and a Cluster; who is trusted, and who is not.
mod redis_tls;
/// Telling the edges who may buy again.
mod regrab;
/// A Redis with a replica: what counts as sold, and which server is the master.
mod replication;
/// Retention: what is old leaves the database.
mod retention;
/// Rounds that are over leave Redis, and their ledgers stay verifiable.
mod retirement;
/// Stock on several Redis masters: exactly the total is sold, whatever its
/// distribution, and whatever is left half-way.
mod segments;
/// Several sites that sell one round: what moves between them, whatever breaks.
mod sites;
/// An operator changes the amount during a sale: stock, permits and database follow,
/// nothing sold is taken back, and a repetition changes nothing.
mod stock_adjust;
/// Stock that follows the database: confirmed or released, once.
mod stock_follows;
/// A Redis is lost in the middle of a sale, and its stock is put back from the
/// database: nothing is oversold, selling goes on to the last item, and the ledger
/// holds.
mod stock_rebuild;
/// The stop switch: pausing, ending and withdrawing what is on sale.
mod stop_switch;
/// Orders in the database: the same cases on SQLite, MariaDB and PostgreSQL.
mod store_orders;
/// The tables' versions.
mod store_upgrade;
/// One purchase is one trace, as a collector sees it.
mod traces;
/// `seckill tune`: the settings that a peak needs, read from real servers.
mod tune;
/// `seckill verify`: a sound system passes, running or not, and each kind of damage is
/// found and named.
mod verify;
