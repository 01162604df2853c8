//! What is sold: rounds, stock, orders and the notices of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use seckill_core::orders::order::State;

#[derive(Debug, Subcommand)]
pub(crate) enum Sale {
    /// Check a sale file and store its rounds as drafts, all or none
    ///
    /// The file is TOML, or JSON of the same shape if its name ends in .json;
    /// examples/sale.toml shows all fields. Importing an unchanged file again
    /// changes nothing; an approved round cannot be changed.
    Import {
        /// The sale file
        file: PathBuf,
        /// Approve its rounds at once
        #[arg(long)]
        approve: bool,
        /// Take it even if a product is in two rounds at the same time
        #[arg(long)]
        overlapping: bool,
    },
    /// Put a round on sale: stock into Redis, pages under the edge
    ///
    /// Approving again is safe, and completes an approval that was interrupted.
    Approve {
        /// The round's id
        round: String,
    },
    /// Print all rounds as a sale file
    Export {
        /// As JSON of the same shape
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Stock {
    /// Show each segment's amounts, what is on its way between segments, and permits
    Show {
        /// The round's id; all products without it
        #[arg(requires = "product")]
        round: Option<String>,
        /// The product's id
        product: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Put stock back after its Redis lost it, from the database
    ///
    /// For a Redis that was emptied or restored from an older snapshot: rounds,
    /// amounts, buyers' records and permits follow from the approved rounds, the
    /// archived ledger and the orders; lost order messages are sent again. Refused
    /// while a sale runs on it. Given again, it does nothing more.
    Rebuild {
        /// Only this round
        #[arg(long, value_name = "ID")]
        round: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Also while edges and back ends work on this Redis
        #[arg(long)]
        while_running: bool,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Change how many items a product has in all, while it sells
    ///
    /// The permits follow. An amount below what is sold is refused. A command that
    /// broke off is given again as it was.
    Adjust {
        /// The round's id
        round: String,
        /// The product's id
        product: String,
        /// Items in all, sold ones included
        #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        amount: u64,
        /// Id of this request: given twice, it is carried out once
        #[arg(long, value_name = "ID")]
        request: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Orders {
    /// Show orders, newest first
    List {
        /// Only those of this buyer
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only those in this state: created, paid, cancelled or failed
        #[arg(long, value_name = "STATE", value_parser = order_state)]
        state: Option<State>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show payments that pay nothing and are to be given back, with the reason
    Refunds {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show messages that nobody could use, each with the reason, or try them again
    DeadLetters {
        #[command(subcommand)]
        command: Option<Letters>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Send dead letters on their way again: the same as "dead-letters redrive"
    Redrive(Which),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Notices {
    /// Show how many wait, and those that were given up, each with the reason
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Try those that were given up again
    Retry,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Letters {
    /// Show them, oldest first
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Send them on their way again, once what was wrong with them is mended
    Redrive(Which),
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Their numbers, as "seckill orders dead-letters" shows them
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

fn order_state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| "write created, paid, cancelled or failed".to_owned())
}
