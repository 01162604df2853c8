//! Holding a round's items at its approval, returning what is unsold after its end, and
//! comparing what the inventory says with our records.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use seckill_core::ids::Item;
use tokio_util::sync::CancellationToken;

use super::{HoldError, Inventory, InventoryError};
use crate::config::RefundStock;
use crate::now_ms;
use crate::store::holds::{Hold, HoldState};
use crate::store::round::{Round, RoundState, StoredRound};
use crate::store::{Store, StoreError};
use crate::time::periodic::Passes;

/// Pause between two passes.
const EVERY: Duration = Duration::from_secs(15);
/// How long an approval may take before what it has held counts as left over, in ms.
const APPROVAL_MS: u64 = 600_000;

/// Holds every product of a round that was chosen from the inventory: all of them, or,
/// if one is not held as it should be, none.
///
/// # Errors
/// [`HoldError`]. If the inventory is away, calling again is safe.
pub async fn hold_round(
    store: &Store,
    inventory: &impl Inventory,
    round: &Round,
) -> Result<(), HoldError> {
    let mut made = Vec::new();
    for product in &round.products {
        let Some(sku) = store.sku_of(&product.id).await? else {
            continue;
        };
        match hold(
            store,
            inventory,
            (&round.id, &product.id),
            &sku,
            product.amount,
        )
        .await
        {
            Ok(Some(hold)) => made.push(hold),
            Ok(None) => {}
            Err(error) => {
                // Those before it are returned now, or by the sweep.
                for hold in made {
                    let _ = settle(store, inventory, hold, 0).await;
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Holds one product; `None` if that was done before.
async fn hold(
    store: &Store,
    inventory: &impl Inventory,
    (round, product): (&str, &str),
    sku: &str,
    amount: u64,
) -> Result<Option<Hold>, HoldError> {
    let before = store.hold(round, product).await?;
    let generation = match &before {
        Some(before) if before.state == HoldState::Held && before.amount == amount => {
            return Ok(None);
        }
        // Unknown whether it is held: the same name again holds nothing more.
        Some(before) if before.state == HoldState::Asked && before.amount == amount => {
            before.generation
        }
        Some(before) => before.generation + 1,
        None => 1,
    };
    if let Some(before) = before.filter(|it| it.generation != generation) {
        // What may be held under the old name is returned first.
        if before.state != HoldState::Settled {
            settle(store, inventory, before, 0).await?;
        }
    }
    let mut hold = Hold {
        round: round.to_owned(),
        product: product.to_owned(),
        id: format!("{round}.{product}.{generation}"),
        generation,
        sku: sku.to_owned(),
        amount,
        state: HoldState::Asked,
        sold: 0,
        returned: 0,
        trouble: String::new(),
        updated_ms: now_ms(),
    };
    store.keep_hold(&hold).await?;
    let failed = |source| HoldError::Inventory {
        sku: sku.to_owned(),
        source,
    };
    match inventory.hold(&hold.id, sku, amount).await {
        Ok(held) if held.amount == amount && !held.settled => {
            hold.state = HoldState::Held;
            store.keep_hold(&hold).await?;
            Ok(Some(hold))
        }
        Ok(held) => {
            hold.trouble = format!("{amount} were asked for, and {} are held", held.amount);
            if held.amount == 0 || held.settled {
                hold.state = HoldState::Settled;
                store.keep_hold(&hold).await?;
            } else {
                // If this fails, the sweep repeats it.
                hold.amount = held.amount;
                let _ = settle(store, inventory, hold, 0).await;
            }
            let (sku, asked, held) = (sku.to_owned(), amount, held.amount);
            Err(HoldError::Amount { sku, asked, held })
        }
        Err(error @ InventoryError::Refused(_)) => {
            hold.state = HoldState::Settled;
            hold.trouble = error.to_string();
            store.keep_hold(&hold).await?;
            Err(failed(error))
        }
        Err(error) => {
            hold.trouble = error.to_string();
            store.keep_hold(&hold).await?;
            Err(failed(error))
        }
    }
}

/// Settles a hold of which this many items were sold. What is to be done is on record
/// before the inventory is called.
async fn settle(
    store: &Store,
    inventory: &impl Inventory,
    mut hold: Hold,
    sold: u64,
) -> Result<(), HoldError> {
    hold.sold = sold;
    hold.returned = hold.amount.saturating_sub(sold);
    hold.state = HoldState::Settling;
    hold.updated_ms = now_ms();
    store.keep_hold(&hold).await?;
    settle_as_recorded(store, inventory, hold).await
}

async fn settle_as_recorded(
    store: &Store,
    inventory: &impl Inventory,
    mut hold: Hold,
) -> Result<(), HoldError> {
    let settled = inventory.settle(&hold.id, hold.sold, hold.returned).await;
    if let Err(source) = settled {
        hold.trouble = source.to_string();
        store.keep_hold(&hold).await?;
        let sku = hold.sku;
        return Err(HoldError::Inventory { sku, source });
    }
    tracing::info!(
        hold = hold.id,
        sold = hold.sold,
        returned = hold.returned,
        "the inventory has its items back"
    );
    hold.state = HoldState::Settled;
    hold.updated_ms = now_ms();
    store.keep_hold(&hold).await?;
    Ok(())
}

/// How the sweep decides.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// How long after a round's end its orders may still change, in ms.
    pub after_end_ms: u64,
    /// Whether items of refunded orders stay sold.
    pub refund_stock: RefundStock,
}

/// Returns what is unsold after the end, and what approvals left behind, until `stop`.
/// Several may run: each call may be repeated.
pub async fn run(
    store: Store,
    inventory: std::sync::Arc<impl Inventory + 'static>,
    sweep: Sweep,
    stop: CancellationToken,
) {
    let waiting = "items wait to be returned to the inventory";
    let mut passes = Passes::new(stop, waiting, EVERY);
    while passes.go_on() {
        let outcome = sweep_once(&store, inventory.as_ref(), sweep, now_ms()).await;
        passes.pause_after(outcome.map(|_| EVERY)).await;
    }
}

/// One pass; returns how many holds were settled.
///
/// # Errors
/// The database or the inventory is away; the others were looked at all the same.
pub async fn sweep_once(
    store: &Store,
    inventory: &impl Inventory,
    sweep: Sweep,
    now_ms: u64,
) -> Result<usize, HoldError> {
    // Only rounds with something open are read: what is over costs no pass anything.
    let mut rounds: HashMap<String, Option<StoredRound>> = HashMap::new();
    let (mut settled, mut outcome) = (0, Ok(()));
    let holds = store.open_holds().await?;
    if holds.is_empty() {
        return Ok(0);
    }
    let selling_on: HashSet<String> = store.stops_due().await?.into_iter().collect();
    for mut hold in holds {
        // Redis may not know of a stop yet, and sells on: the wait begins when it does.
        if hold.state == HoldState::Held && selling_on.contains(&hold.round) {
            hold.updated_ms = now_ms;
            store.keep_hold(&hold).await?;
            continue;
        }
        if !rounds.contains_key(&hold.round) {
            let stored = store.round(&hold.round).await?;
            rounds.insert(hold.round.clone(), stored);
        }
        let round = rounds.get(&hold.round).and_then(Option::as_ref);
        let done = match due(store, &hold, round, sweep, now_ms).await? {
            None => continue,
            Some(Due::AsRecorded) => settle_as_recorded(store, inventory, hold).await,
            Some(Due::Sold(sold)) => settle(store, inventory, hold, sold).await,
        };
        match done {
            Ok(()) => settled += 1,
            Err(error) => outcome = Err(error),
        }
    }
    outcome.map(|()| settled)
}

enum Due {
    /// What is on record is to be repeated.
    AsRecorded,
    /// So many items were sold; the others are to be returned.
    Sold(u64),
}

/// What is to be done about a hold now.
async fn due(
    store: &Store,
    hold: &Hold,
    round: Option<&StoredRound>,
    sweep: Sweep,
    now_ms: u64,
) -> Result<Option<Due>, StoreError> {
    let approved = round.filter(|stored| stored.state == RoundState::Approved);
    match (hold.state, approved) {
        (HoldState::Settled, _) => Ok(None),
        (HoldState::Settling, _) => Ok(Some(Due::AsRecorded)),
        // An approval that ended half-way, or was refused by the database.
        (_, None) => {
            let left_over = now_ms >= hold.updated_ms.saturating_add(APPROVAL_MS);
            Ok(left_over.then_some(Due::Sold(0)))
        }
        (_, Some(stored)) => {
            let last_ms = stored
                .stops
                .last_sale_ms(&hold.product, stored.round.ends_ms);
            let since_ms = last_ms.max(hold.updated_ms);
            let over_ms = since_ms.saturating_add(sweep.after_end_ms);
            let Some(item) = Item::new(&hold.round, &hold.product) else {
                return Ok(None);
            };
            if now_ms < over_ms {
                return Ok(None);
            }
            let keeps = sweep.refund_stock == RefundStock::Keep;
            let (sold, open) = store.sold(&item, keeps).await?;
            Ok((!open).then_some(Due::Sold(sold.min(hold.amount))))
        }
    }
}

/// A hold that is otherwise at the inventory than in our records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldDiffers {
    /// Our record.
    pub hold: Hold,
    /// One sentence for people.
    pub what: String,
}

/// Compares every hold with what the inventory says of it.
///
/// # Errors
/// The database or the inventory is away.
pub async fn compare(
    store: &Store,
    inventory: &impl Inventory,
) -> Result<Vec<HoldDiffers>, HoldError> {
    let mut differences = Vec::new();
    for hold in store.holds().await? {
        let held = inventory
            .held(&hold.id)
            .await
            .map_err(|source| HoldError::Inventory {
                sku: hold.sku.clone(),
                source,
            })?;
        let id = &hold.id;
        let what = match (hold.state, held) {
            (HoldState::Asked, Some(held)) if !held.settled => Some(format!(
                "{id}: {} are held there, and an approval that ended half-way asked for them",
                held.amount
            )),
            (HoldState::Held, None) => Some(format!(
                "{id}: {} are held by our records, and nothing there",
                hold.amount
            )),
            (HoldState::Held, Some(held)) if held.settled => Some(format!(
                "{id}: settled there, with {} sold and {} returned, and held by our records",
                held.sold, held.returned
            )),
            (HoldState::Held, Some(held)) if held.amount != hold.amount => Some(format!(
                "{id}: {} are held there, and {} by our records",
                held.amount, hold.amount
            )),
            (HoldState::Settling, _) => Some(format!(
                "{id}: {} are to be returned, and that fails: {}",
                hold.returned, hold.trouble
            )),
            (HoldState::Settled, Some(held)) if !held.settled => Some(format!(
                "{id}: settled by our records, and {} are held there",
                held.amount
            )),
            (HoldState::Settled, Some(held))
                if (held.sold, held.returned) != (hold.sold, hold.returned) =>
            {
                Some(format!(
                    "{id}: {} sold and {} returned there, {} and {} by our records",
                    held.sold, held.returned, hold.sold, hold.returned
                ))
            }
            _ => None,
        };
        differences.extend(what.map(|what| HoldDiffers { hold, what }));
    }
    Ok(differences)
}
