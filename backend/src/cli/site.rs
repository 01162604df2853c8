//! `seckill site …`: what each site has of each product, whether it adds up, and what becomes
//! of a site that is lost.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use seckill_core::ids::Item;
use seckill_core::signing::keyring::Keyring;
use seckill_core::sites::audit::{Total, audit};
use seckill_core::sites::lease;
use seckill_core::sites::transfer::State;
use serde_json::json;

use super::{open_store, say};
use crate::config::{Config, SiteSettings};
use crate::now_ms;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::catalogue;
use crate::stock::sites::messages::{self, ACCOUNT, AccountAsk, AccountLine, Heard};
use crate::stock::sites::peer::{PeerError, transfer_id};
use crate::stock::sites::{Sites, account};
use crate::store::site_transfers::SiteTransfer;
use crate::store::{Actor, LazyStore};
use crate::time::rfc3339;

/// Passes in which a disagreement must be found before it counts: items move meanwhile.
const PASSES: u32 = 8;
/// Pause between two passes.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    /// Show what each site has of each product
    ///
    /// Of a site that does not answer, what was last heard of it.
    Status {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Check that all sites together have exactly what there is
    ///
    /// Each site's stock with its ledger, and both ends of every transfer. Every site must
    /// answer. Prints PASS or FAIL; the exit status is 1 for FAIL.
    Verify {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Take over what a site had that is lost
    ///
    /// Without a product it only shows what was last heard of the site, and the risk: what
    /// the site sold after that is not known here. At the home site, and only once the other
    /// has not been heard for site_lost_after. If it comes back, it takes these items off its
    /// own sale before it sells on.
    Lost {
        /// The site
        #[arg(value_name = "SITE")]
        site: String,
        /// The round's id
        #[arg(requires = "product")]
        round: Option<String>,
        /// The product's id
        #[arg(requires = "items")]
        product: Option<String>,
        /// How many items to take over
        #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        items: Option<u64>,
    },
}

/// Carries out a command of `seckill site`.
pub(crate) async fn run(config: &Config, command: SiteCommand) -> anyhow::Result<()> {
    let settings = config.site.clone().context(
        "this site sells alone: \"site\" is not set; docs/many-sites.md says how several share a \
         round",
    )?;
    let store = open_store(config).await?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let parts = (redis, segments, LazyStore::opened(store.clone()));
    let sites = Sites::new(settings.clone(), keys(&settings)?, parts)
        .context("this machine's certificates cannot be read; install ca-certificates")?;
    let outcome = match command {
        SiteCommand::Status { json } => status(&settings, &sites, json).await,
        SiteCommand::Verify { json } => verify(&settings, &sites, json).await,
        SiteCommand::Lost {
            site,
            round,
            product,
            items,
        } => {
            let chosen = round.zip(product).zip(items);
            lost(&settings, &sites, &site, chosen).await
        }
    };
    store.close().await;
    outcome
}

fn keys(settings: &SiteSettings) -> anyhow::Result<Arc<Keyring>> {
    let path = settings.keys.display();
    let text = std::fs::read_to_string(&settings.keys).map_err(|error| {
        anyhow::anyhow!(
            "the key ring {path} cannot be read: {error}; write one line \"kid secret\", the same at every \
             site, and see site_keys"
        )
    })?;
    let ring = Keyring::parse(&text)
        .map_err(|error| anyhow::anyhow!("the key ring {path} is wrong: {error}"))?;
    Ok(Arc::new(ring))
}

/// What all sites say of one product, and why some say nothing.
struct Product {
    item: Item,
    accounts: Vec<AccountLine>,
    away: Vec<(String, String)>,
}

impl Product {
    fn total(&self) -> Total {
        let accounts: Vec<_> = self.accounts.iter().map(AccountLine::account).collect();
        audit(&accounts)
    }
}

async fn items(sites: &Sites) -> anyhow::Result<Vec<Item>> {
    let mut conn = sites.mover().redis.conn().await?;
    let mut items: Vec<Item> = catalogue::read(&mut conn).await?.into_keys().collect();
    items.sort();
    Ok(items)
}

async fn product(settings: &SiteSettings, sites: &Sites, item: &Item) -> anyhow::Result<Product> {
    let mut product = Product {
        item: item.clone(),
        accounts: Vec::new(),
        away: Vec::new(),
    };
    let own = account::read(&settings.name, sites.mover(), item).await?;
    product.accounts.extend(own);
    let asked = AccountAsk {
        round: item.round().to_owned(),
        product: item.product().to_owned(),
    };
    for peer in sites.peers() {
        match peer.ask::<AccountLine>(ACCOUNT, &asked).await {
            Ok(account) => product.accounts.push(account),
            // It has nothing of it.
            Err(PeerError::Refused(_, code, _)) if code == "not_on_sale" => {}
            Err(error) => product
                .away
                .push((peer.name().to_owned(), error.to_string())),
        }
    }
    Ok(product)
}

async fn status(settings: &SiteSettings, sites: &Sites, json: bool) -> anyhow::Result<()> {
    let mut conn = sites.mover().redis.conn().await?;
    let heard = messages::heard(&mut conn).await?;
    let mut products = Vec::new();
    for item in items(sites).await? {
        products.push(product(settings, sites, &item).await?);
    }
    if json {
        let products: Vec<_> = products
            .iter()
            .map(|it| {
                let total = it.total();
                json!({
                    "item": it.item.to_string(),
                    "sites": it.accounts,
                    "away": it.away.iter().map(|(site, _)| site).collect::<Vec<_>>(),
                    "amount": total.amount,
                    "held": total.held,
                    "under_way": total.under_way,
                    "oversold": total.oversold,
                })
            })
            .collect();
        let body = json!({ "site": settings.name, "home": settings.home, "products": products,
            "heard": heard });
        return say(&format!("{body}\n"));
    }
    let mut text = format!(
        "This is site {}; the home is {}.\n",
        settings.name, settings.home
    );
    for product in &products {
        text.push('\n');
        text.push_str(&table(product));
        for (site, why) in &product.away {
            let last = heard.get(site).map_or_else(
                || "was never heard".to_owned(),
                |heard| last(heard, &product.item),
            );
            let _ = writeln!(text, "  {site} {last} ({why})");
        }
    }
    if products.is_empty() {
        text.push_str(
            "Nothing is on sale. Import a sale at every site: seckill sale import FILE --approve\n",
        );
    }
    say(&text)
}

fn last(heard: &Heard, item: &Item) -> String {
    let at = rfc3339(heard.at_ms);
    let line = heard
        .items
        .iter()
        .find(|line| line.item().as_ref() == Some(item));
    line.map_or_else(
        || format!("was heard last at {at}, and did not sell this"),
        |line| {
            format!(
                "was heard last at {at}: it had {} items, {} of them sold",
                line.amount, line.sold
            )
        },
    )
}

fn table(product: &Product) -> String {
    let total = product.total();
    let mut text = format!(
        "{}   {} items; {} at the sites, {} under way\n",
        product.item, total.amount, total.held, total.under_way
    );
    let head = [
        "site", "share", "for sale", "locked", "sold", "came", "left",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for line in &product.accounts {
        let moved = line.moved.values();
        let came: i64 = moved.clone().filter(|it| **it > 0).sum();
        let left: i64 = -moved.filter(|it| **it < 0).sum::<i64>();
        let mut row = vec![line.site.clone(), line.share.to_string()];
        row.extend([line.sale, line.locked, line.saled].map(|n| n.to_string()));
        row.extend([came, left].map(|n| n.to_string()));
        rows.push(row);
    }
    for row in &rows {
        let mut line = String::from(" ");
        for (at, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0);
            let _ = match at {
                0 => write!(line, " {cell:<width$} "),
                _ => write!(line, " {cell:>width$} "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if total.oversold > 0 {
        let _ = writeln!(
            text,
            "  {} items are sold twice: a site that was declared lost had sold them",
            total.oversold
        );
    }
    text
}

async fn verify(settings: &SiteSettings, sites: &Sites, json: bool) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for item in items(sites).await? {
        let mut last = None;
        for pass in 1..=PASSES {
            let product = product(settings, sites, &item).await?;
            if let Some((site, why)) = product.away.first() {
                anyhow::bail!("nothing can be said of {item} without site {site}: {why}");
            }
            let total = product.total();
            let is_sound = total.faults.is_empty();
            last = Some((total, product));
            if is_sound || pass == PASSES {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        found.extend(last.map(|(total, product)| (item, total, product.accounts.len())));
    }
    let faults: Vec<String> = found
        .iter()
        .flat_map(|(item, total, _)| total.faults.iter().map(move |it| format!("{item}: {it}")))
        .collect();
    let oversold: i64 = found.iter().map(|(_, total, _)| total.oversold).sum();
    let pass = faults.is_empty() && oversold == 0;
    let sum = |of: fn(&Total) -> i64| found.iter().map(|(_, total, _)| of(total)).sum::<i64>();
    if json {
        let body = json!({ "pass": pass, "faults": faults, "oversold": oversold,
            "products": found.len(), "amount": sum(|it| it.amount), "held": sum(|it| it.held),
            "under_way": sum(|it| it.under_way) });
        say(&format!("{body}\n"))?;
    } else {
        let word = if pass { "PASS" } else { "FAIL" };
        let mut text = format!(
            "{word} {} products at {} sites: {} items, {} at the sites, {} under way\n",
            found.len(),
            settings.names().len(),
            sum(|it| it.amount),
            sum(|it| it.held),
            sum(|it| it.under_way)
        );
        for fault in &faults {
            let _ = writeln!(text, "     {fault}");
        }
        if oversold > 0 {
            let _ = writeln!(text, "     {oversold} items are sold twice");
        }
        say(&text)?;
    }
    anyhow::ensure!(pass, "the sites do not add up");
    Ok(())
}

async fn lost(
    settings: &SiteSettings,
    sites: &Sites,
    site: &str,
    chosen: Option<((String, String), u64)>,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        settings.is_home(),
        "only the home site, {}, declares others lost; if {} itself is lost, make another site the \
         home first: set site_home at every site",
        settings.home,
        settings.home
    );
    anyhow::ensure!(
        sites.peers().iter().any(|peer| peer.name() == site),
        "there is no site {site}; site_peers has {}",
        settings.names()[1..].join(", ")
    );
    let mut conn = sites.mover().redis.conn().await?;
    let heard = messages::heard(&mut conn).await?.remove(site);
    let heard = heard.unwrap_or_default();
    let lost_after_ms = u64::try_from(settings.lost_after.as_millis()).unwrap_or(u64::MAX);
    let is_lost = lease::is_lost(heard.asked_ms, now_ms(), lost_after_ms);
    let Some(((round, id), items)) = chosen else {
        return say(&shown(settings, site, &heard, is_lost));
    };
    let item = Item::new(&round, &id).context("these cannot be ids of a round and a product")?;
    anyhow::ensure!(
        is_lost,
        "site {site} asked here last at {}; it counts as lost {} s after that (site_lost_after), \
         when it has stopped selling by itself",
        rfc3339(heard.asked_ms),
        settings.lost_after.as_secs()
    );
    let line = heard
        .items
        .iter()
        .find(|line| line.item().as_ref() == Some(&item));
    let store = sites.mover().store.get().await?;
    let before = store.lost_site_transfers(site).await?;
    let before: u64 = before
        .iter()
        .filter(|it| it.comes && it.item == item)
        .map(|it| it.items)
        .sum();
    let left = line.map_or(0, |line| (line.amount - line.sold).saturating_sub(before));
    anyhow::ensure!(
        items <= left,
        "site {site} had at most {left} items of {item} left when it was last heard (taken over \
         before: {before}); choose {left} or fewer"
    );
    let transfer = SiteTransfer {
        id: transfer_id(&settings.name).context("the system gives no random bytes")?,
        peer: site.to_owned(),
        item,
        comes: true,
        lost: true,
        wanted: items,
        items,
        short: 0,
        state: State::Granted,
        updated_ms: 0,
    };
    let by = Actor::on_the_box();
    store
        .begin_site_transfer(&transfer, Some(&by), now_ms())
        .await?;
    sites.mover().carry_on(&transfer.id).await?;
    say(&format!(
        "{items} items of {} that {site} had are for sale here. If {site} comes back, it takes \
         them off its own sale first.\n",
        transfer.item
    ))
}

/// What was last heard of a site, and what taking over means.
fn shown(settings: &SiteSettings, site: &str, heard: &Heard, is_lost: bool) -> String {
    if heard.at_ms == 0 {
        return format!(
            "Site {site} was never heard here, so that nothing of it can be taken over.\n"
        );
    }
    let mut text = format!(
        "Site {site} was heard last at {}, and asked here last at {}.\n",
        rfc3339(heard.at_ms),
        rfc3339(heard.asked_ms)
    );
    let after = settings.lost_after.as_secs();
    text.push_str(&match is_lost {
        true => format!("It has stopped selling by itself: that is more than {after} s ago.\n"),
        false => format!("It may still sell: it counts as lost {after} s after that.\n"),
    });
    for line in &heard.items {
        let left = line.amount - line.sold.min(line.amount);
        let _ = writeln!(
            text,
            "  {}::{}  {} items, {} sold, {left} left: it may have sold up to {left} since",
            line.round, line.product, line.amount, line.sold
        );
    }
    let _ = writeln!(
        text,
        "Whatever it sold since is not known here. If you take over an item that it has sold, the \
         item is sold twice. Take over with: seckill site lost {site} ROUND PRODUCT ITEMS"
    );
    text
}
