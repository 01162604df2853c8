//! Strategies to sell stock without selling it twice: the script, and those that were
//! rejected (course §129–§131). Each does the same work: it refuses a buyer who has the
//! product, deducts, and in one transaction writes the amounts, the buyer's record and
//! the order message, so that these agree at every moment.

#![expect(
    clippy::disallowed_methods,
    reason = "transactions are among the strategies that are measured"
)]

use std::collections::HashSet;
use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Script, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::sync::{mpsc, oneshot};

/// The real script, as the purchase role runs it.
static PURCHASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../../../../lua/stock/prelude.lua"),
        include_str!("../../../../lua/stock/purchase.lua"),
    ))
});
/// Releases a lock if it is still ours: a seller that was away for longer than the lock
/// holds must not release another's.
static UNLOCK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
    )
});
const SALE: &str = "sale_stock_amount";
const LOCKED: &str = "locked_stock_amount";
/// How many there were; only the counter needs it.
const AMOUNT: &str = "amount";
/// How long a lock holds without its owner, in ms.
const LOCK_MS: u64 = 5_000;

/// A strategy to sell stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// One script does it all: what the system uses.
    Script,
    /// One counter decides who came in time; the rest follows in separate steps.
    Incr,
    /// A list with a token for each item.
    Tokens,
    /// Optimistic: read, then write unless another has written meanwhile; else retry.
    Watch,
    /// A lock in Redis, opened only by its owner.
    Lock,
    /// A queue in the memory of one process, worked off by one.
    Fifo,
}

impl Strategy {
    /// All, the system's own first.
    pub const ALL: [Strategy; 6] = [
        Strategy::Script,
        Strategy::Incr,
        Strategy::Tokens,
        Strategy::Watch,
        Strategy::Lock,
        Strategy::Fifo,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Script => "the script",
            Strategy::Incr => "one INCR",
            Strategy::Tokens => "token list",
            Strategy::Watch => "WATCH loop",
            Strategy::Lock => "lock with owner check",
            Strategy::Fifo => "FIFO in memory",
        }
    }

    /// Whether several processes may sell the same stock by it.
    #[must_use]
    pub fn works_across_processes(self) -> bool {
        self != Strategy::Fifo
    }

    /// Whether a seller that dies in the middle leaves neither an item that
    /// nobody can buy nor a sale without its order.
    #[must_use]
    pub fn survives_a_crash(self) -> bool {
        matches!(self, Strategy::Script | Strategy::Watch | Strategy::Lock)
    }

    /// Why it is not used.
    #[must_use]
    pub fn rejected_for(self) -> &'static str {
        match self {
            Strategy::Script => "used",
            Strategy::Incr | Strategy::Tokens => {
                "a crash between its steps loses the item or the order"
            }
            Strategy::Watch => "buyers of one product always collide",
            Strategy::Lock => "buyers of one product stand in queue, three round trips each",
            Strategy::Fifo => "sells in one process only, and forgets at a crash",
        }
    }

    /// Puts `amount` items up for sale, and forgets all buyers.
    ///
    /// # Errors
    /// Redis refuses.
    pub async fn prepare(self, conn: &mut MultiplexedConnection, amount: u64) -> RedisResult<()> {
        let mut pipe = redis::pipe();
        let all = [
            &KEYS.stock,
            &KEYS.buyers,
            &KEYS.spent,
            &KEYS.outbox,
            &KEYS.sold,
            &KEYS.tokens,
            &KEYS.lock,
        ];
        pipe.cmd("UNLINK").arg(&all[..]).ignore();
        pipe.hset_multiple(
            &KEYS.stock,
            &[
                (SALE, amount),
                (LOCKED, 0),
                ("saled_stock_amount", 0),
                (AMOUNT, amount),
            ],
        )
        .ignore();
        pipe.exec_async(conn).await?;
        if self == Strategy::Tokens {
            let mut left = amount;
            while left > 0 {
                let some = usize::try_from(left.min(100_000)).unwrap_or(1);
                let mut push = redis::cmd("RPUSH");
                push.arg(&KEYS.tokens).arg(vec!["t"; some]);
                push.exec_async(conn).await?;
                left -= some as u64;
            }
        }
        Ok(())
    }
}

/// The result for a buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleResult {
    /// They have the item.
    Sold,
    /// They had it before.
    Duplicate,
    /// Sold out.
    Gone,
}

/// Where requests wait in the memory of one process.
pub type Queue = mpsc::UnboundedSender<(String, oneshot::Sender<SaleResult>)>;

/// Opens a line for `amount` items, worked off by a task of its own.
#[must_use]
pub fn open_queue(amount: u64) -> Queue {
    let (queue, mut waiting) = mpsc::unbounded_channel::<(String, oneshot::Sender<SaleResult>)>();
    tokio::spawn(async move {
        let (mut left, mut buyers, mut orders) = (amount, HashSet::new(), Vec::new());
        while let Some((user, reply)) = waiting.recv().await {
            let answer = if left == 0 && !buyers.contains(&user) {
                SaleResult::Gone
            } else if buyers.insert(user.clone()) {
                left -= 1;
                orders.push(user);
                SaleResult::Sold
            } else {
                SaleResult::Duplicate
            };
            // A buyer who left meanwhile gets no reply.
            let _ = reply.send(answer);
        }
    });
    queue
}

/// Sells to one buyer after another, on a connection of its own.
#[derive(Debug)]
pub struct Seller {
    way: Strategy,
    conn: MultiplexedConnection,
    queue: Option<Queue>,
    /// Commands sent, a script counted as one.
    pub commands: u64,
    /// Replies that were waited for.
    pub trips: u64,
    random: u64,
}

impl Seller {
    /// A seller by this strategy; a FIFO needs its queue.
    #[must_use]
    pub fn new(
        way: Strategy,
        conn: MultiplexedConnection,
        queue: Option<Queue>,
        number: u64,
    ) -> Self {
        Self {
            way,
            conn,
            queue,
            commands: 0,
            trips: 0,
            random: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// One item for `user`.
    ///
    /// # Errors
    /// Redis refuses or is away.
    pub async fn sell(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        match self.way {
            Strategy::Script => self.by_script(user, request).await,
            Strategy::Incr => self.by_incr(user, request).await,
            Strategy::Tokens => self.by_token(user, request).await,
            Strategy::Watch => self.by_watch(user, request).await,
            Strategy::Lock => self.by_lock(user, request).await,
            Strategy::Fifo => Ok(self.by_line(user).await),
        }
    }

    async fn by_script(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        self.count(1);
        let reply: String = PURCHASE
            .key(&KEYS.stock)
            .key(&KEYS.buyers)
            .key(&KEYS.spent)
            .key(&KEYS.outbox)
            .arg((user, request, 1, "", ""))
            .arg(("1", "153", 1, 99_900, 0))
            .invoke_async(&mut self.conn)
            .await?;
        Ok(match reply.as_str() {
            accepted if accepted.starts_with("accepted") => SaleResult::Sold,
            "sold_out" => SaleResult::Gone,
            _ => SaleResult::Duplicate,
        })
    }

    /// The counter comes after the record, or a second click would take an item.
    async fn by_incr(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        if !self.claim(user, request).await? {
            return Ok(SaleResult::Duplicate);
        }
        let mut pipe = redis::pipe();
        pipe.cmd("INCR")
            .arg(&KEYS.sold)
            .cmd("HGET")
            .arg((&KEYS.stock, AMOUNT));
        let (place, amount): (u64, u64) = self.ask(&pipe).await?;
        if place > amount {
            return self.give_up(user).await;
        }
        self.order(user, request).await
    }

    async fn by_token(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        if !self.claim(user, request).await? {
            return Ok(SaleResult::Duplicate);
        }
        let mut pipe = redis::pipe();
        pipe.cmd("LPOP").arg(&KEYS.tokens);
        let (token,): (Option<String>,) = self.ask(&pipe).await?;
        match token {
            Some(_) => self.order(user, request).await,
            None => self.give_up(user).await,
        }
    }

    async fn by_watch(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        loop {
            let mut look = redis::pipe();
            look.cmd("WATCH").arg(&KEYS.stock).ignore();
            add_look(&mut look, user);
            let (sale, record): (u64, Option<String>) = self.ask(&look).await?;
            if record.is_some() || sale == 0 {
                let mut leave = redis::pipe();
                leave.cmd("UNWATCH");
                let _: Value = self.ask(&leave).await?;
                return Ok(refusal(record));
            }
            let mut write = redis::pipe();
            write.atomic();
            add_sale(&mut write, user, request);
            // MULTI and EXEC go along.
            self.commands += 2;
            let done: Option<Value> = self.ask(&write).await?;
            if done.is_some() {
                return Ok(SaleResult::Sold);
            }
        }
    }

    async fn by_lock(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        let owner = format!("{user}-{}", self.next_random());
        loop {
            let mut take = redis::pipe();
            take.cmd("SET")
                .arg((&KEYS.lock, &owner, "NX", "PX", LOCK_MS));
            let (taken,): (Option<String>,) = self.ask(&take).await?;
            if taken.is_some() {
                break;
            }
            let pause = std::time::Duration::from_micros(self.next_random() % 2_000);
            tokio::time::sleep(pause).await;
        }
        let mut look = redis::pipe();
        add_look(&mut look, user);
        let (sale, record): (u64, Option<String>) = self.ask(&look).await?;
        let sells = record.is_none() && sale > 0;
        let mut write = redis::pipe();
        // All of it or nothing, the lock included, should this seller die.
        write.atomic();
        self.commands += 2;
        if sells {
            add_sale(&mut write, user, request);
        }
        write.add_command(unlock(&owner)).ignore();
        let _: Value = self.ask(&write).await?;
        Ok(if sells {
            SaleResult::Sold
        } else {
            refusal(record)
        })
    }

    async fn by_line(&mut self, user: &str) -> SaleResult {
        let (reply, replied) = oneshot::channel();
        let in_line = self
            .queue
            .as_ref()
            .map(|queue| queue.send((user.to_owned(), reply)));
        match in_line {
            Some(Ok(())) => replied.await.unwrap_or(SaleResult::Gone),
            _ => SaleResult::Gone,
        }
    }

    /// Records the buyer, unless they are on record. [`Seller::order`] completes the
    /// record in the step that writes the message.
    async fn claim(&mut self, user: &str, request: &str) -> RedisResult<bool> {
        let mut pipe = redis::pipe();
        pipe.cmd("HSETNX")
            .arg((&KEYS.buyers, user, format!("claimed|{request}")));
        let (first,): (bool,) = self.ask(&pipe).await?;
        Ok(first)
    }

    async fn give_up(&mut self, user: &str) -> RedisResult<SaleResult> {
        let mut pipe = redis::pipe();
        pipe.cmd("HDEL").arg((&KEYS.buyers, user));
        let _: Value = self.ask(&pipe).await?;
        Ok(SaleResult::Gone)
    }

    async fn order(&mut self, user: &str, request: &str) -> RedisResult<SaleResult> {
        let mut pipe = redis::pipe();
        // Amounts, record and message must agree at every moment.
        pipe.atomic();
        add_sale(&mut pipe, user, request);
        self.commands += 2;
        let _: Value = self.ask(&pipe).await?;
        Ok(SaleResult::Sold)
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, pipe: &Pipeline) -> RedisResult<T> {
        self.count(pipe.len() as u64);
        pipe.query_async(&mut self.conn).await
    }

    fn count(&mut self, commands: u64) {
        self.commands += commands;
        self.trips += 1;
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

fn refusal(record: Option<String>) -> SaleResult {
    record.map_or(SaleResult::Gone, |_| SaleResult::Duplicate)
}

fn add_look(pipe: &mut Pipeline, user: &str) {
    pipe.cmd("HGET").arg((&KEYS.stock, SALE));
    pipe.cmd("HGET").arg((&KEYS.buyers, user));
}

fn add_sale(pipe: &mut Pipeline, user: &str, request: &str) {
    pipe.hincr(&KEYS.stock, SALE, -1)
        .hincr(&KEYS.stock, LOCKED, 1);
    pipe.hset(&KEYS.buyers, user, record(request));
    add_message(pipe, user, request);
}

/// The record that the script writes.
fn record(request: &str) -> String {
    format!("succeeded|{request}|1|||1795000000000")
}

/// The message that the script writes, so that the work is the same.
fn add_message(pipe: &mut Pipeline, user: &str, request: &str) {
    let fields = [
        ("kind", "purchase"),
        ("v", "1"),
        ("request", request),
        ("round", "1"),
        ("product", "153"),
        ("segment", "1"),
        ("user", user),
        ("quantity", "1"),
        ("price_cents", "99900"),
        ("permit", ""),
        ("sale", "1000"),
        ("locked", "1000"),
        ("saled", "0"),
    ];
    pipe.xadd(&KEYS.outbox, "*", &fields);
}

fn unlock(owner: &str) -> redis::Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(UNLOCK.get_hash()).arg(1).arg(&KEYS.lock).arg(owner);
    cmd
}

/// Makes the scripts known, which calls by hash need.
pub(super) async fn load(conn: &mut MultiplexedConnection) -> RedisResult<()> {
    PURCHASE.load_async(conn).await?;
    UNLOCK.load_async(conn).await?;
    Ok(())
}

/// The keys, built once.
pub(super) struct Keys {
    pub(super) stock: String,
    pub(super) buyers: String,
    pub(super) outbox: String,
    spent: String,
    /// The counter of [`Strategy::Incr`]; this and the next two only the bench has.
    sold: String,
    tokens: String,
    lock: String,
}

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    // Good ids, so that there is an item.
    let item = Item::new("1", "153");
    let key = |build: fn(&Item, u16) -> String| {
        item.as_ref()
            .map_or_else(String::new, |item| build(item, 1))
    };
    let own = |name: &str| format!("{}::bench::{name}", key(keys::stock));
    Keys {
        stock: key(keys::stock),
        buyers: key(keys::buyers),
        outbox: key(keys::outbox),
        spent: key(keys::spent),
        sold: own("sold"),
        tokens: own("tokens"),
        lock: own("lock"),
    }
});
