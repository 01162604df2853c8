//! The command line: what can be asked for, and what each word means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use seckill::bans;
use seckill::config::{Given, Source};
use seckill::console::account::Role;
use seckill::roles;
use seckill::store::findings::FindingState;
use seckill_core::ban::Kind;
use seckill_core::order::State;
use seckill_load::command::Load;

/// A flash sale: shoppers come in at the edge, buyers go out with an order.
///
/// "seckill up --demo" starts all of it on this machine with a sale to try.
/// Settings come from a TOML file, SECKILL_… variables and flags, in rising
/// strength; "seckill config" shows those in force.
#[derive(Debug, Parser)]
#[command(
    name = "seckill",
    version,
    arg_required_else_help = true,
    max_term_width = 90
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Settings that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Configuration file [default: seckill.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of everything that is written [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// What is logged: error, warn, info, debug, trace, off [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How log lines look: human or json [default: human]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any other setting of "seckill config"; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine: Redis, nginx with the module, all roles
    ///
    /// Waits until each part is healthy, prints the addresses, and stops all of
    /// it on Ctrl-C or when a part dies. Everything that is written lives in one
    /// folder (--data); a second "up" continues where the first one ended.
    Up {
        /// Sell examples/sale.toml, and let anybody log in under any name
        #[arg(long)]
        demo: bool,
        /// Port of the edge [default: 8080]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
        /// Start no nginx: run behind an nginx of your own that includes conf/seckill/
        #[arg(long)]
        no_edge: bool,
        /// Play only these roles, and leave the others to "seckill serve" [default: all]
        #[arg(
            long,
            value_name = "ROLES",
            value_delimiter = ',',
            value_parser = roles::Role::parse
        )]
        roles: Option<Vec<roles::Role>>,
    },
    /// Run roles of the back end against a Redis and a database that run elsewhere
    Serve {
        /// Which, separated by commas: purchase, relay, orders, ops, analysis
        #[arg(
            long,
            value_name = "ROLES",
            value_delimiter = ',',
            required = true,
            value_parser = roles::Role::parse
        )]
        roles: Vec<roles::Role>,
    },
    /// Import, approve and export sales
    #[command(subcommand)]
    Sale(Sale),
    /// Keep addresses, networks and users out of the sale
    ///
    /// Every edge follows within a second, and keeps the bans while Redis is away.
    #[command(subcommand)]
    Bans(Bans),
    /// Show who seems to be a program by the access logs, and decide on it
    #[command(subcommand)]
    Findings(Findings),
    /// Say who may log in at the console
    #[command(subcommand)]
    Accounts(Accounts),
    /// Show how much lies where, and change how much there is
    #[command(subcommand)]
    Stock(Stock),
    /// Show orders, and messages of which none could be made
    #[command(subcommand)]
    Orders(Orders),
    /// Shop by the thousand: people, and bots among them; races; steady clicks
    #[command(subcommand)]
    Load(Load),
    /// Notices to buyers of what became of their orders
    #[command(subcommand)]
    Notices(Notices),
    /// Show which parts run, and how far each sale is
    Status {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Replay the ledger, and check that stock, permits, records and orders agree
    ///
    /// On a running system as well as on a stopped one, whose Redis it starts for
    /// that time. Prints PASS with what was looked at, or FAIL with the first breach
    /// and its events; then the exit status is 1.
    Verify {
        /// As JSON, with all breaches
        #[arg(long)]
        json: bool,
    },
    /// Compute how many edges, back ends, Redis masters and connections a rate needs
    ///
    /// From what the benchmarks measured on this machine (bench/results), or from
    /// figures given by flags.
    Capacity(crate::capacity_command::Asked),
    /// Run the drills of the repository: a system of its own, struck and counted
    ///
    /// Each prints a PASS or FAIL line for each fact, with the numbers, and so does
    /// the end. Needs a clone with what "make test" installs and "scripts/build.sh"
    /// builds.
    Drill {
        /// "list", the name of one, or "all"
        name: String,
        /// What the drill itself takes, such as --full for the size of a real sale
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Print the settings in force, where each came from and what it means
    Config,
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
pub(crate) enum Accounts {
    /// Add an account; its password is asked for, or read from standard input
    Add {
        /// The name to log in with: letters, digits, _ . @ + -
        name: String,
        /// operator (makes rounds) or supervisor (approves what others made)
        #[arg(long, value_name = "ROLE", value_parser = account_role)]
        role: Role,
    },
    /// Show the accounts
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove an account; who is logged in with it is out within seconds
    Remove {
        /// Its name
        name: String,
    },
    /// Give an account a new password, which ends its sessions
    Password {
        /// Its name
        name: String,
    },
}

fn account_role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "write operator or supervisor".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bans {
    /// Ban an address, a network or a user; or change the ban that is there
    Add {
        #[command(flatten)]
        whom: Whom,
        /// Why, for whoever reads the list
        #[arg(long, value_name = "TEXT", value_parser = short_text)]
        reason: String,
        /// For how long, such as 30s, 15m, 1h, 7d [default: for good]
        #[arg(long = "for", value_name = "TIME", value_parser = bans::parse_time)]
        time_ms: Option<u64>,
        /// Who bans [default: the name of the user who runs this]
        #[arg(long, value_name = "NAME", value_parser = short_text)]
        by: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Lift a ban
    Lift {
        #[command(flatten)]
        whom: Whom,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print the bans in force
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Findings {
    /// Print them, worst first, each with its reasons
    List {
        /// Only those that are proposed, banned, confirmed or dismissed
        #[arg(long, value_name = "STATE", value_parser = finding_state)]
        state: Option<FindingState>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// It is a program: ban it
    Confirm {
        #[command(flatten)]
        whom: Whom,
        /// For how long, such as 30s, 15m, 1h, 7d [default: analysis_ban_minutes]
        #[arg(long = "for", value_name = "TIME", value_parser = bans::parse_time)]
        time_ms: Option<u64>,
    },
    /// It is a person: lift the ban, and leave it alone for 90 days
    Dismiss {
        #[command(flatten)]
        whom: Whom,
    },
}

fn finding_state(text: &str) -> Result<FindingState, String> {
    FindingState::parse(text)
        .ok_or_else(|| "write proposed, banned, confirmed or dismissed".to_owned())
}

/// Who is meant.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// "address" (or a network) or "user"
    #[arg(value_name = "KIND", value_parser = ban_kind)]
    pub(crate) kind: Kind,
    /// 203.0.113.7, 203.0.113.0/24, 2001:db8::/32, or the user's id
    pub(crate) value: String,
}

fn ban_kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| "write \"address\" or \"user\"".to_owned())
}

fn short_text(text: &str) -> Result<String, String> {
    if seckill_core::ban::is_text(text) {
        Ok(text.to_owned())
    } else {
        Err("write at most 200 characters on one line, without \"|\"".to_owned())
    }
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

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as port=9000".to_owned()),
    }
}

impl Cli {
    /// The settings given by flags, each with its flag's name.
    pub(crate) fn given(&self) -> Vec<(String, Given)> {
        let flag = |flag: &str, key: &str, value: &Option<String>| {
            value.clone().map(|text| {
                (
                    key.to_owned(),
                    Given {
                        text,
                        source: Source::Flag(flag.to_owned()),
                    },
                )
            })
        };
        let settings = &self.settings;
        let port = match &self.command {
            Command::Up { port, .. } => port.map(|port| port.to_string()),
            _ => None,
        };
        let sets = settings.set.iter().map(|(key, text)| {
            let source = Source::Flag("--set".to_owned());
            (
                key.clone(),
                Given {
                    text: text.clone(),
                    source,
                },
            )
        });
        sets.chain(flag("--data", "data", &settings.data))
            .chain(flag("--log", "log", &settings.log))
            .chain(flag("--log-format", "log_format", &settings.log_format))
            .chain(flag("--port", "port", &port))
            .collect()
    }
}
