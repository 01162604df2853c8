//! The command line: the commands, and the settings that each of them takes.

use std::ffi::OsString;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use seckill_load::command::Load;

use super::accounts::AccountsCommand;
use super::bans::BansCommand;
use super::capacity::CapacityArgs;
use super::doctor::DoctorArgs;
use super::drill::DrillArgs;
use super::feed::FeedCommand;
use super::findings::FindingsCommand;
use super::inventory::InventoryCommand;
use super::notices::NoticesCommand;
use super::orders::OrdersCommand;
use super::payments::PaymentsCommand;
use super::retention::RetentionArgs;
use super::round::RoundCommand;
use super::sale::SaleCommand;
use super::serve::ServeArgs;
use super::session::SessionCommand;
use super::site::SiteCommand;
use super::status::StatusArgs;
use super::stock::StockCommand;
use super::tune::TuneArgs;
use super::up::UpArgs;
use super::verify::VerifyArgs;
use crate::config::{Given, Source};

/// A flash sale: shoppers come in at the edge, buyers leave with an order.
///
/// "seckill up --demo" starts everything on this machine with a sale to try. The other
/// commands find a running system by its data folder (--data), and take over its settings.
///
/// Settings come from a TOML file, the running system, SECKILL_… variables and flags,
/// each stronger than the one before; "seckill config" shows those in force.
#[derive(Debug, Parser)]
#[command(
    name = "seckill",
    version,
    arg_required_else_help = true,
    max_term_width = 90
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Settings that every command takes.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Configuration file [default: seckill.toml, if it is there; installed by a
    /// package: /etc/seckill/seckill.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder, by which a running system is found [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// Level of the log: error, warn, info, debug, trace, off [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// Format of log lines: human or json [default: human]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any other setting of "seckill config"; may be repeated
    // Not "global": of a flag before the command and one behind it, clap then keeps only
    // the second. `Cli::of` gives it to every command.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine: Redis, nginx with the module, all roles
    ///
    /// Waits until each part is healthy, prints the addresses, and stops everything on
    /// Ctrl-C. A part that dies is started again; one that cannot stay up for a minute
    /// stops the system. Everything that is written lives in one folder (--data), where
    /// the other commands find this system; a second "up" continues where the first one
    /// ended.
    Up(UpArgs),
    /// Run roles of the back end against a Redis and a database that run elsewhere
    Serve(ServeArgs),
    /// Import, approve and export sales
    #[command(subcommand)]
    Sale(SaleCommand),
    /// Stop what is on sale: pause, resume, end or withdraw a round or one product
    ///
    /// Every edge follows within a second.
    #[command(subcommand)]
    Round(RoundCommand),
    /// Keep addresses, networks and users out of the sale
    ///
    /// Every edge follows within a second, and keeps the bans while Redis is away.
    #[command(subcommand)]
    Bans(BansCommand),
    /// Show who seems to be a program by the access logs, and decide on it
    #[command(subcommand)]
    Findings(FindingsCommand),
    /// Manage the accounts that may log in at the console
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Show the stock of each segment, and change how many items there are
    #[command(subcommand)]
    Stock(StockCommand),
    /// Show orders, and messages from which no order could be placed
    #[command(subcommand)]
    Orders(OrdersCommand),
    /// Show how far the shop's own systems are with the orders, and send orders again
    #[command(subcommand)]
    Feed(FeedCommand),
    /// Send load: shoppers with bots among them, races, steady clicks
    #[command(subcommand)]
    Load(Load),
    /// Choose items of the shop's own inventory, and show what it holds
    #[command(subcommand)]
    Inventory(InventoryCommand),
    /// Compare payments with the providers' lists, and return money
    #[command(subcommand)]
    Payments(PaymentsCommand),
    /// Show and retry notifications to buyers about their orders
    #[command(subcommand)]
    Notices(NoticesCommand),
    Retention(RetentionArgs),
    /// Make a buyer's session, or say whose one is
    #[command(subcommand)]
    Session(SessionCommand),
    /// Show and check several sites that sell the same rounds, and take over a lost one's
    #[command(subcommand)]
    Site(SiteCommand),
    /// Show which parts are up, and how far each sale is
    ///
    /// Finds the system by its data folder (--data). The exit status is 1 if a part is
    /// away.
    Status(StatusArgs),
    /// Replay the ledger, and check that stock, permits, records and orders agree
    ///
    /// On a running system as well as on a stopped one, whose Redis it starts for
    /// that time. Prints PASS with what was checked, or FAIL with the first breach
    /// and its events; then the exit status is 1.
    Verify(VerifyArgs),
    /// Look for what keeps this system from selling, and say each cure
    ///
    /// nginx and the module, running and installed; the edge's configuration and key
    /// ring beside the back end's; Redis, clocks, files. Changes nothing. The exit
    /// status is 1 if something is wrong.
    Doctor(DoctorArgs),
    /// Show the settings of kernel, nginx, Redis, database and RocketMQ that a peak needs
    ///
    /// Each with its value here, the wanted one, its reason, and the file that it belongs
    /// into; of the database, where that is MariaDB or PostgreSQL. Changes nothing.
    Tune(TuneArgs),
    /// Compute the machines, connections and bytes that a rate or so many buyers need
    ///
    /// From what the benchmarks measured on this machine (bench/results), or from
    /// figures given by flags; it refuses if one is missing. Every assumption is printed.
    Capacity(CapacityArgs),
    /// Run the drills of the repository, each on a system of its own
    ///
    /// A drill breaks something and counts the consequences. It prints a PASS or FAIL
    /// line for each fact, with the numbers, and the end sums them up. Needs a clone
    /// with what "make test" installs and "scripts/build.sh" builds.
    Drill(DrillArgs),
    /// Print the settings in force, where each came from and what it means
    Config,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as port=9000".to_owned()),
    }
}

/// The id of `--set`.
const SET: &str = "set";

/// Refuses `--set KEY VALUE`: clap would take the value, which may be a secret, for a command
/// and repeat it.
fn check_sets(arguments: &[OsString]) -> Result<(), clap::Error> {
    let has_value = |text: &str| text.contains('=');
    let texts: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let is_whole = texts
        .iter()
        .enumerate()
        .all(|(at, text)| match text.as_ref() {
            "--set" => texts.get(at + 1).is_none_or(|next| has_value(next)),
            text => text.strip_prefix("--set=").is_none_or(has_value),
        });
    is_whole.then_some(()).ok_or_else(|| {
        let right = "write KEY=VALUE in one word, such as port=9000";
        refused(&format!("invalid value for '--set <KEY=VALUE>': {right}"))
    })
}

/// The same error with a cure, if it only says how parsing a number failed.
fn with_cure(error: clap::Error) -> clap::Error {
    let source = std::error::Error::source(&error);
    let whole = source.and_then(|it| it.downcast_ref::<ParseIntError>());
    let right = match whole.map(ParseIntError::kind) {
        Some(IntErrorKind::PosOverflow | IntErrorKind::NegOverflow) => "write a smaller number",
        Some(_) => "write a whole number, such as 10",
        None if source.is_some_and(|it| it.is::<ParseFloatError>()) => "write a number, such as 10",
        None => return error,
    };
    let said = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (value, argument) = (
        said(ContextKind::InvalidValue),
        said(ContextKind::InvalidArg),
    );
    refused(&format!(
        "invalid value '{value}' for '{argument}': {right}"
    ))
}

/// An error as clap reports those of values.
fn refused(why: &str) -> clap::Error {
    let more = "For more information, try '--help'.";
    clap::Error::raw(ErrorKind::ValueValidation, format!("{why}\n\n{more}\n"))
}

/// Gives `--set` to every command below this one.
fn with_set_everywhere(mut command: clap::Command, set: &clap::Arg) -> clap::Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, |it| with_set_everywhere(it.arg(set), set));
    }
    command
}

/// What every `--set` gives, in the order of the command line.
fn sets(matches: &ArgMatches) -> Vec<(String, String)> {
    let here = matches.get_many(SET).into_iter().flatten().cloned();
    let mut all: Vec<(String, String)> = here.collect();
    if let Some((_, below)) = matches.subcommand() {
        all.extend(sets(below));
    }
    all
}

impl Cli {
    /// The arguments of this process; ends it if they are wrong, or only ask for help.
    pub(crate) fn read() -> Self {
        Self::of(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn of<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        check_sets(&arguments)?;
        let command = Self::command();
        let set = command.get_arguments().find(|it| it.get_id() == SET);
        let set = set.cloned().unwrap_or_else(|| clap::Arg::new(SET));
        let mut command = with_set_everywhere(command, &set);
        let matches = command.try_get_matches_from_mut(arguments);
        let matches = matches.map_err(with_cure)?;
        let mut cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        cli.settings.set = sets(&matches);
        Ok(cli)
    }

    /// The settings given by flags, each with its flag's name.
    pub(crate) fn given(&self) -> Vec<(String, Given)> {
        let flag = |flag: &str, key: &str, value: &Option<String>| {
            value.clone().map(|text| {
                let source = Source::Flag(flag.to_owned());
                (key.to_owned(), Given { text, source })
            })
        };
        let settings = &self.settings;
        let port = match &self.command {
            Command::Up(arguments) => arguments.port.map(|port| port.to_string()),
            _ => None,
        };
        let sets = settings.set.iter().map(|(key, text)| {
            let (text, source) = (text.clone(), Source::Flag("--set".to_owned()));
            (key.clone(), Given { text, source })
        });
        sets.chain(flag("--data", "data", &settings.data))
            .chain(flag("--log", "log", &settings.log))
            .chain(flag("--log-format", "log_format", &settings.log_format))
            .chain(flag("--port", "port", &port))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: &[&str]) -> Vec<(String, String)> {
        let cli = Cli::of(["seckill"].iter().chain(arguments)).unwrap();
        let given = cli.given().into_iter();
        given.map(|(key, given)| (key, given.text)).collect()
    }

    #[test]
    fn settings_count_before_the_command_and_behind_it() {
        let expected = [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")];
        let expected = expected.map(|(key, text)| (key.to_owned(), text.to_owned()));
        let before = ["--set", "a=1", "--set=b=2"];
        let behind = ["--set", "c=3", "--set", "a=4"];
        for command in [&["config"][..], &["sale", "export"], &["stock", "show"]] {
            assert_eq!(given(&[&before[..], command, &behind].concat()), expected);
        }
        let between = ["--set", "a=1", "sale", "--set", "b=2", "export", "--set"];
        let between = [&between[..], &["c=3", "--set", "a=4"]].concat();
        assert_eq!(given(&between), expected);
    }

    #[test]
    fn a_variable_of_the_shell_that_is_not_set_matches_nothing() {
        let refused: [&[&str]; 16] = [
            &["orders", "search", "--user", ""],
            &["orders", "search", "--round", " "],
            &["orders", "export", "--product", ""],
            &["orders", "export", "--payment", ""],
            &["orders", "list", "--user", ""],
            &["orders", "give-up", "1-0", "--reason", ""],
            &["round", "withdraw", "noon", ""],
            &["round", "pause", "noon", "--reason", " "],
            &["stock", "adjust", "noon", "153", "5", "--alone", " "],
            &["stock", "adjust", "noon", "153", "5", "--propose", ""],
            &["stock", "rebuild", "--round", ""],
            &["session", "revoke", "--user", ""],
            &["session", "revoke", "--jti", ""],
            &["inventory", "items", ""],
            &["bans", "add", "user", "li", "--reason", " "],
            &["bans", "add", "user", "li", "--reason", "x", "--by", ""],
        ];
        for arguments in refused {
            let parsed = Cli::of(["seckill"].iter().chain(arguments));
            assert!(parsed.is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn numbers_beyond_any_use_are_refused() {
        let most = u64::MAX.to_string();
        let refused: [&[&str]; 9] = [
            &["tune", "--check", "--connections", &most],
            &["capacity", "--buyers", &most],
            &["capacity", "--rps", "1e300"],
            &["capacity", "--rps", "1", "--items", &most],
            &["capacity", "--rps", "1", "--shoppers", &most],
            &["capacity", "--rps", "1", "--edge-cores", "4294967295"],
            &["drill", "random", "--seconds", &most],
            &["drill", "random", "--minutes", &most],
            &["load", "stock", "--redis", "redis://h", "--seconds", &most],
        ];
        for arguments in refused {
            let error = Cli::of(["seckill"].iter().chain(arguments)).unwrap_err();
            let kind = error.kind();
            assert_eq!(kind, ErrorKind::ValueValidation, "{arguments:?}: {error}");
        }
        given(&["stock", "adjust", "noon", "153", "0"]);
    }

    fn complaint(arguments: &[&str]) -> String {
        let error = Cli::of(["seckill"].iter().chain(arguments)).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::ValueValidation,
            "{arguments:?}: {error}"
        );
        error.to_string()
    }

    #[test]
    fn an_argument_that_is_wrong_is_refused_with_what_would_be_right() {
        let most = format!("9{}", u64::MAX);
        let cases: [(&[&str], &str); 10] = [
            (
                &["stock", "adjust", "noon", "153", "abc"],
                "write a whole number, such as 10",
            ),
            (
                &["stock", "adjust", "noon", "153", ""],
                "write a whole number, such as 10",
            ),
            (
                &["stock", "adjust", "noon", "153", &most],
                "write a smaller number",
            ),
            (
                &["payments", "refund", "p", "--amount", "9.5"],
                "write a whole number",
            ),
            (
                &["orders", "list", "--limit", "all"],
                "write a whole number",
            ),
            (&["orders", "show", "x"], "write a whole number"),
            (&["up", "--port", "http"], "write a whole number"),
            (
                &["feed", "replay", "webhook", "--since", "yesterday"],
                "write a time such as 20",
            ),
            (
                &["payments", "reconcile", "--from", "yesterday"],
                "write a day such as 20",
            ),
            (
                &["payments", "reconcile", "--to", "2026-13-01"],
                "write a day such as 20",
            ),
        ];
        for (arguments, right) in cases {
            let said = complaint(arguments);
            assert!(said.contains(right), "{arguments:?}: {said}");
        }
    }

    #[test]
    fn a_secret_behind_a_space_is_not_repeated() {
        for set in [&["--set", "redis_url"][..], &["--set=redis_url"]] {
            for arguments in [
                [set, &["redis://:hunter2@h", "config"]].concat(),
                [&["config"], set, &["redis://:hunter2@h"]].concat(),
            ] {
                let said = complaint(&arguments);
                assert!(said.contains("KEY=VALUE in one word"), "{said}");
                assert!(!said.contains("hunter2"), "{said}");
            }
        }
    }

    #[test]
    fn each_command_has_its_own_flags_beside_the_common_ones() {
        Cli::command().debug_assert();
        let set = Cli::command();
        let set = set.get_arguments().find(|it| it.get_id() == SET).unwrap();
        with_set_everywhere(Cli::command(), set).debug_assert();
    }
}
