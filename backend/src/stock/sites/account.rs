//! What a site can say of a product: its stock, what its ledger says of it, its transfers.

use std::collections::BTreeMap;

use seckill_core::ids::Item;
use seckill_core::sites::audit::End;

use super::messages::{AccountLine, EndLine};
use super::moves::{MoveError, Mover, on_sale};
use crate::redis::segments::Segment;
use crate::stock::levels;

/// Reads it; `None` if the product is not on sale here.
///
/// # Errors
/// [`MoveError`]: Redis or the database is away.
pub async fn read(
    site: &str,
    mover: &Mover,
    item: &Item,
) -> Result<Option<AccountLine>, MoveError> {
    let store = mover.store.get().await?;
    let mut conn = mover.redis.conn().await?;
    let products = on_sale(&mut conn).await?;
    let Some((_, entry)) = products.iter().find(|(known, _)| known == item) else {
        return Ok(None);
    };
    let Some((share, _)) = store.share_and_between(item).await? else {
        return Ok(None);
    };
    let rows = store.site_transfers(item).await?;
    let ends: Vec<End> = rows
        .into_iter()
        .map(|row| End {
            id: row.id,
            peer: row.peer,
            comes: row.comes,
            lost: row.lost,
            items: row.items,
            short: row.short,
            state: row.state,
        })
        .collect();
    let (mut base, mut moved) = (0, BTreeMap::<String, i64>::new());
    for Segment { number, .. } in Segment::all(item, entry) {
        for event in store.ledger(item, number).await? {
            let quantity = event.number("quantity").unwrap_or(0);
            let request = event.text("request");
            match event.kind() {
                "adjust" if ends.iter().any(|end| end.id == request) => {
                    *moved.entry(request.to_owned()).or_default() += quantity;
                }
                "preload" | "adjust" | "rebuild" => base += quantity,
                _ => {}
            }
        }
    }
    let levels = levels::read(&mut conn, &mover.segments, item, entry).await?;
    Ok(Some(AccountLine {
        site: site.to_owned(),
        sale: levels.sale,
        locked: levels.locked,
        saled: levels.saled,
        in_transit: levels.in_transit,
        share: i64::try_from(share).unwrap_or(i64::MAX),
        base,
        moved,
        ends: ends.iter().map(EndLine::of).collect(),
    }))
}
