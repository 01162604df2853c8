//! Who may do what: accounts, bans, and findings of who seems to be a program.

use crate::edges::bans;
use crate::store::accounts::Role;
use crate::store::findings::FindingState;
use clap::{Args, Subcommand};
use seckill_core::shared::bans::listed::Kind;

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
    if seckill_core::shared::bans::listed::is_text(text) {
        Ok(text.to_owned())
    } else {
        Err("write at most 200 characters on one line, without \"|\"".to_owned())
    }
}
