//! Ways to sell stock without selling it twice: the script, and those that were
//! rejected (course §129–§131). Each does the same work: it refuses a buyer who
//! has the product, deducts, and in one transaction sets the amounts, his record
//! and the order message, so that these agree whenever somebody looks.

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
/// Lets go of a lock if it is still ours: whoever was away for longer than the
/// lock holds must not open another's.
static UNLOCK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
    )
});
const SALE: &str = "sale_stock_amount";
const LOCKED: &str = "locked_stock_amount";
/// How many there were; only the counter's way needs it.
const AMOUNT: &str = "amount";
/// How long a lock holds without its owner, in ms.
const LOCK_MS: u64 = 5_000;

/// A way to sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One script does it all: what the system uses.
    Script,
    /// One counter says who came in time; the rest follows in steps of their own.
    Incr,
    /// A list with a token for each item.
    Tokens,
    /// Optimistic: read, then write if nobody wrote meanwhile, else again.
    Watch,
    /// A lock in Redis, opened only by its owner.
    Lock,
    /// A queue in the memory of one process, worked off by one.
    Fifo,
}

impl Way {
    /// All, the system's own first.
    pub const ALL: [Way; 6] = [
        Way::Script,
        Way::Incr,
        Way::Tokens,
        Way::Watch,
        Way::Lock,
        Way::Fifo,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::Script => "the script",
            Way::Incr => "one INCR",
            Way::Tokens => "token list",
            Way::Watch => "WATCH loop",
            Way::Lock => "lock with owner check",
            Way::Fifo => "FIFO in memory",
        }
    }

    /// Whether several processes may sell the same stock this way.
    #[must_use]
    pub fn works_across_processes(self) -> bool {
        self != Way::Fifo
    }

    /// Whether a seller that dies in the middle leaves neither an item that
    /// nobody can buy nor a sale without its order.
    #[must_use]
    pub fn survives_a_crash(self) -> bool {
        matches!(self, Way::Script | Way::Watch | Way::Lock)
    }

    /// Why it is not used.
    #[must_use]
    pub fn rejected_for(self) -> &'static str {
        match self {
            Way::Script => "used",
            Way::Incr | Way::Tokens => "a crash between its steps loses the item or the order",
            Way::Watch => "buyers of one product always collide",
            Way::Lock => "buyers of one product stand in line, three round trips each",
            Way::Fifo => "sells in one process only, and forgets at a crash",
        }
    }

    /// Puts `amount` items up for sale this way, and forgets all buyers.
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
        if self == Way::Tokens {
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

/// What a buyer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is his.
    Sold,
    /// He had it before.
    Duplicate,
    /// All is gone.
    Gone,
}

/// Where requests wait in the memory of one process.
pub type Line = mpsc::UnboundedSender<(String, oneshot::Sender<Answer>)>;

/// Opens a line for `amount` items, worked off by a task of its own.
#[must_use]
pub fn open_line(amount: u64) -> Line {
    let (line, mut waiting) = mpsc::unbounded_channel::<(String, oneshot::Sender<Answer>)>();
    tokio::spawn(async move {
        let (mut left, mut buyers, mut orders) = (amount, HashSet::new(), Vec::new());
        while let Some((user, tell)) = waiting.recv().await {
            let answer = if left == 0 && !buyers.contains(&user) {
                Answer::Gone
            } else if buyers.insert(user.clone()) {
                left -= 1;
                orders.push(user);
                Answer::Sold
            } else {
                Answer::Duplicate
            };
            // Whoever left meanwhile hears nothing.
            let _ = tell.send(answer);
        }
    });
    line
}

/// One buyer after another, on a connection of its own.
#[derive(Debug)]
pub struct Till {
    way: Way,
    conn: MultiplexedConnection,
    line: Option<Line>,
    /// Commands sent, a script counted as one.
    pub commands: u64,
    /// Times that an answer was waited for.
    pub trips: u64,
    random: u64,
}

impl Till {
    /// A till that sells this way; a FIFO needs its line.
    #[must_use]
    pub fn new(way: Way, conn: MultiplexedConnection, line: Option<Line>, number: u64) -> Self {
        Self {
            way,
            conn,
            line,
            commands: 0,
            trips: 0,
            random: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// One item for `user`.
    ///
    /// # Errors
    /// Redis refuses or is away.
    pub async fn sell(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
        match self.way {
            Way::Script => self.by_script(user, request).await,
            Way::Incr => self.by_incr(user, request).await,
            Way::Tokens => self.by_token(user, request).await,
            Way::Watch => self.by_watch(user, request).await,
            Way::Lock => self.by_lock(user, request).await,
            Way::Fifo => Ok(self.by_line(user).await),
        }
    }

    async fn by_script(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
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
            "accepted" => Answer::Sold,
            "sold_out" => Answer::Gone,
            _ => Answer::Duplicate,
        })
    }

    /// The counter comes after the record, or a second click would take an item.
    async fn by_incr(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
        if !self.claim(user, request).await? {
            return Ok(Answer::Duplicate);
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

    async fn by_token(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
        if !self.claim(user, request).await? {
            return Ok(Answer::Duplicate);
        }
        let mut pipe = redis::pipe();
        pipe.cmd("LPOP").arg(&KEYS.tokens);
        let (token,): (Option<String>,) = self.ask(&pipe).await?;
        match token {
            Some(_) => self.order(user, request).await,
            None => self.give_up(user).await,
        }
    }

    async fn by_watch(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
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
                return Ok(Answer::Sold);
            }
        }
    }

    async fn by_lock(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
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
        Ok(if sells { Answer::Sold } else { refusal(record) })
    }

    async fn by_line(&mut self, user: &str) -> Answer {
        let (tell, told) = oneshot::channel();
        let in_line = self
            .line
            .as_ref()
            .map(|line| line.send((user.to_owned(), tell)));
        match in_line {
            Some(Ok(())) => told.await.unwrap_or(Answer::Gone),
            _ => Answer::Gone,
        }
    }

    /// Records the buyer, unless he is on record. Whether he has bought is said by
    /// [`Till::order`], in the step that writes the message.
    async fn claim(&mut self, user: &str, request: &str) -> RedisResult<bool> {
        let mut pipe = redis::pipe();
        pipe.cmd("HSETNX")
            .arg((&KEYS.buyers, user, format!("claimed|{request}")));
        let (first,): (bool,) = self.ask(&pipe).await?;
        Ok(first)
    }

    async fn give_up(&mut self, user: &str) -> RedisResult<Answer> {
        let mut pipe = redis::pipe();
        pipe.cmd("HDEL").arg((&KEYS.buyers, user));
        let _: Value = self.ask(&pipe).await?;
        Ok(Answer::Gone)
    }

    async fn order(&mut self, user: &str, request: &str) -> RedisResult<Answer> {
        let mut pipe = redis::pipe();
        // Amounts, record and message must agree whenever somebody looks.
        pipe.atomic();
        add_sale(&mut pipe, user, request);
        self.commands += 2;
        let _: Value = self.ask(&pipe).await?;
        Ok(Answer::Sold)
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

fn refusal(record: Option<String>) -> Answer {
    record.map_or(Answer::Gone, |_| Answer::Duplicate)
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
    /// The counter of [`Way::Incr`]; this and the next two only the bench has.
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
