//! `seckill load shop`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use seckill_core::ids;
use seckill_core::signing::keyring::Keyring;

use super::people::{BotKind, Crowd};
use super::progress::Progress;
use super::report::Report;
use super::{Options, html, run};
use crate::client::authority;

/// Options of `shop`.
#[derive(Debug, Clone, Args)]
pub struct ShopArgs {
    /// Address of the edge
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub base: String,
    /// Round id
    #[arg(long)]
    pub round: String,
    /// Product id
    #[arg(long)]
    pub product: String,
    /// How many people
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub shoppers: u32,
    /// How many of them sit in offices, …
    #[arg(long, default_value_t = 0)]
    pub in_offices: u32,
    /// … so many behind one address
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    pub office: u32,
    /// How many of a hundred people are hard to tell from bots: they log in in the
    /// last moment, take the phone out for the opening, click on two devices, drum
    /// on the button, or do without a mouse
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub hard: u32,
    /// How many bots among them
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub bots: u32,
    /// How the bots behave, assigned in turn [default: every kind]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub wickedness: Vec<BotKind>,
    /// Accounts of a farm at one address
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub farm: u32,
    /// How long they stay after the opening, in seconds
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// What their names begin with
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// The same seed, the same crowd
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The system's key ring: sign a captcha pass for every click, where the shop wants
    /// one
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Where to write NAME.json and NAME.html
    #[arg(long, value_name = "NAME")]
    pub report: Option<PathBuf>,
    /// A file that always holds the progress, as JSON
    #[arg(long, value_name = "FILE")]
    pub progress: Option<PathBuf>,
}

impl ShopArgs {
    /// Lets the crowd shop, and writes the report.
    ///
    /// # Errors
    /// It could not begin, or the report cannot be written.
    pub async fn run(self) -> anyhow::Result<()> {
        let prefix = &self.prefix;
        anyhow::ensure!(
            prefix.is_empty() || ids::is_user(prefix) && prefix.len() <= 32,
            "--prefix \"{prefix}\" cannot begin a name; write at most 32 of A-Z a-z 0-9 _ . @ + -"
        );
        let progress = Progress {
            file: self.progress.clone(),
        };
        let shopped = run(self.options()?, progress).await?;
        let report = Report::new(&shopped);
        let text = serde_json::to_string_pretty(&report)?;
        match &self.report {
            None => {
                writeln!(std::io::stdout(), "{text}").context("the report cannot be written")?;
            }
            Some(name) => {
                let write = |extension: &str, text: &str| {
                    let file = name.with_extension(extension);
                    std::fs::write(&file, text)
                        .with_context(|| format!("{} cannot be written", file.display()))
                };
                write("json", &text)?;
                write("html", &html::page(&report))?;
                write!(std::io::stdout(), "{}", report.table())
                    .context("the table cannot be written")?;
            }
        }
        Ok(())
    }

    fn options(&self) -> anyhow::Result<Options> {
        let authority = authority(&self.base)?;
        let keyring = self.keys.as_ref().map(|path| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            Keyring::parse(&text).with_context(|| path.display().to_string())
        });
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Ok(Options {
            round: self.round.clone(),
            product: self.product.clone(),
            crowd: Crowd {
                shoppers: number(self.shoppers),
                in_offices: number(self.in_offices.min(self.shoppers)),
                office: number(self.office),
                hard: self.hard,
                bots: number(self.bots),
                bot_kinds: self.wickedness.clone(),
                farm: number(self.farm),
                prefix: self.prefix.clone(),
                seed: self.seed,
                own_addresses: authority.starts_with("127.0.0.1:"),
            },
            time: Duration::from_secs(self.seconds),
            keyring: keyring.transpose()?,
            authority,
        })
    }
}
