//! `seckill inventory …`: choosing items of the shop's own inventory, and what it holds.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, Uri};
use clap::{Args, Subcommand};
use http_body_util::Full;
use seckill_core::orders::money::{Currency, Money};
use serde_json::json;

use super::audited::stored;
use super::texts::filled;
use super::{open_store, say};
use crate::config::Config;
use crate::http::client::HttpClient;
use crate::now_ms;
use crate::pages::picture;
use crate::sale::inventory::{HttpInventory, Inventory as _, Offer, holds, product_id};
use crate::store::Done;
use crate::store::holds::Hold;

/// Largest picture that is fetched, in bytes.
const MAX_PICTURE: usize = 20 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum InventoryCommand {
    /// Show items of the inventory
    Items {
        /// Only those whose title or SKU has this text
        #[arg(value_parser = filled)]
        search: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Choose an item for a sale: prints its table for a sale file
    ///
    /// Title, text, picture and usual price are those of the inventory. Append the output
    /// to a round, such as: seckill inventory choose SKU --amount 100 >> sale.toml
    Choose(ChooseArgs),
    /// Show what the inventory holds for our rounds
    Holds {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Compare what the inventory holds with our records; exit status 1 if they differ
    Reconcile,
}

#[derive(Debug, Args)]
pub(crate) struct ChooseArgs {
    /// The inventory's name for the item
    #[arg(value_name = "SKU")]
    sku: String,
    /// How many are sold
    #[arg(long, value_name = "N")]
    amount: u64,
    /// The price in the round, in minor units [default: the usual one]
    #[arg(long, value_name = "N")]
    price: Option<u64>,
}

/// Carries out a command of `seckill inventory`.
pub(crate) async fn run(config: &Config, command: InventoryCommand) -> anyhow::Result<()> {
    let inventory = crate::roles::inventory(config)?;
    let inventory =
        inventory.ok_or_else(|| anyhow::anyhow!("there is no inventory; set inventory_url"))?;
    match command {
        InventoryCommand::Items { search, json } => {
            let search = search.unwrap_or_default();
            items(&inventory, config.currency, &search, json).await
        }
        InventoryCommand::Choose(arguments) => choose(config, &inventory, &arguments).await,
        InventoryCommand::Holds { json } => show_holds(config, json).await,
        InventoryCommand::Reconcile => reconcile(config, &inventory).await,
    }
}

async fn items(
    inventory: &HttpInventory,
    currency: Currency,
    search: &str,
    json: bool,
) -> anyhow::Result<()> {
    let items = inventory.items(search).await?;
    if json {
        let all = items.iter().map(|it| {
            json!({ "sku": it.sku, "title": it.title, "price_cents": it.price_cents, "available": it.available })
        });
        let all: Vec<_> = all.collect();
        return say(&format!("{}\n", serde_json::to_string_pretty(&all)?));
    }
    if items.is_empty() {
        return say("There are no such items.\n");
    }
    let line = |it: &Offer| {
        let price = Money::new(it.price_cents, currency).to_string();
        let (sku, title) = (&it.sku, &it.title);
        format!(
            "{sku:<24} {price:>14}  {:>8} there  {title}\n",
            it.available
        )
    };
    say(&items.iter().map(line).collect::<String>())
}

async fn choose(
    config: &Config,
    inventory: &HttpInventory,
    arguments: &ChooseArgs,
) -> anyhow::Result<()> {
    let ChooseArgs { sku, amount, price } = arguments;
    let item = inventory.item(sku).await?;
    let item = item.ok_or_else(|| anyhow::anyhow!("the inventory has no item \"{sku}\""))?;
    anyhow::ensure!(
        *amount <= item.available,
        "of \"{sku}\" {} are there, and {amount} are to be sold",
        item.available
    );
    let picture = match item.picture.as_str() {
        "" => String::new(),
        url => fetch_picture(config, url).await?,
    };
    let product = product_id(sku);
    let store = open_store(config).await?;
    let done = Done {
        action: "inventory.choose",
        target: product.clone(),
        detail: json!({ "sku": sku }),
    };
    let detail = done.detail.clone();
    let choose = store.choose_item(&product, sku, now_ms());
    let choose = async { choose.await.map(|()| ((), Some(detail))) };
    stored(&store, done, choose).await?;
    store.close().await;
    // JSON's strings are strings of TOML too.
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let mut table = format!(
        "\n[[round.product]]\nid = {}\ntitle = {}\namount = {amount}\nprice_cents = {}\n\
         list_price_cents = {}\n",
        text(&product),
        text(&item.title),
        price.unwrap_or(item.price_cents),
        item.price_cents.max(price.unwrap_or(0)),
    );
    for (name, value) in [("text", &item.text), ("picture", &picture)] {
        if !value.is_empty() {
            table += &format!("{name} = {}\n", text(value));
        }
    }
    if !picture.is_empty() && !item.picture_alt.is_empty() {
        table += &format!("picture_alt = [{}]\n", text(&item.picture_alt));
    }
    say(&table)
}

/// Fetches a picture, and stores it for the pages; returns its name.
async fn fetch_picture(config: &Config, url: &str) -> anyhow::Result<String> {
    let wrong = |reason: String| anyhow::anyhow!("the picture {url} cannot be taken: {reason}");
    let uri: Uri = url
        .parse()
        .map_err(|_| wrong("it is no address".to_owned()))?;
    let client = HttpClient::new(uri.scheme_str())?;
    let request = Request::get(&uri).body(Full::default())?;
    let response: Response<Body> = client.send(request).await.map_err(&wrong)?;
    anyhow::ensure!(
        response.status().is_success(),
        wrong(response.status().to_string())
    );
    let bytes = to_bytes(response.into_body(), MAX_PICTURE).await;
    let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
    let stored = picture::store(&config.pages_dir(), &bytes, None);
    Ok(stored
        .map_err(|error| wrong(error.to_string()))?
        .to_string())
}

async fn show_holds(config: &Config, json: bool) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let all = store.holds().await?;
    store.close().await;
    if json {
        let all: Vec<_> = all.iter().map(as_json).collect();
        return say(&format!("{}\n", serde_json::to_string_pretty(&all)?));
    }
    if all.is_empty() {
        return say("The inventory holds nothing for our rounds.\n");
    }
    let line = |it: &Hold| {
        let state = it.state.as_str();
        let mut text = format!("{:<24} {:>8} of {}  {state}", it.id, it.amount, it.sku);
        if it.sold + it.returned > 0 {
            text += &format!(", {} sold, {} returned", it.sold, it.returned);
        }
        if !it.trouble.is_empty() {
            text += &format!("\n  {}", it.trouble);
        }
        format!("{text}\n")
    };
    say(&all.iter().map(line).collect::<String>())
}

fn as_json(hold: &Hold) -> serde_json::Value {
    json!({
        "hold": hold.id,
        "round": hold.round,
        "product": hold.product,
        "sku": hold.sku,
        "amount": hold.amount,
        "state": hold.state.as_str(),
        "sold": hold.sold,
        "returned": hold.returned,
        "trouble": hold.trouble,
    })
}

async fn reconcile(config: &Config, inventory: &HttpInventory) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let differences = holds::compare(&store, inventory).await;
    store.close().await;
    let differences = differences?;
    if differences.is_empty() {
        return say("The inventory holds what our records say.\n");
    }
    let lines: String = differences
        .iter()
        .map(|it| format!("{}\n", it.what))
        .collect();
    say(&lines)?;
    anyhow::bail!("{} holds differ", differences.len())
}
