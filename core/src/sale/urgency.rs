//! Which products an edge keeps if its zone has no room for all: what sells, or is
//! still to sell, before what is over or withdrawn; and of these, what ends first.

use crate::ids::Item;
use crate::sale::catalogue::Entry;

/// Puts what must not be left out first.
///
/// What is not over yet comes in the order of its end: the soonest cannot wait for
/// room, a later one may get the room of one that has ended by then. What is over or
/// withdrawn follows, the latest first: somebody may still look at it.
pub fn sort(products: &mut [(Item, Entry)], now_ms: u64) {
    products.sort_by_cached_key(|(item, entry)| {
        let window = &entry.window;
        let may_sell = entry.may_sell(now_ms);
        let order = if may_sell {
            window.ends_ms
        } else {
            u64::MAX - window.ends_ms
        };
        (!may_sell, order, window.opens_ms, item.to_string())
    });
}

/// When products that were left out may get a place: the first end among those that
/// have one. `None` if nothing was left out that could still sell.
#[must_use]
pub fn next_turn_ms(
    placed: &[(Item, Entry)],
    left_out: &[(Item, Entry)],
    now_ms: u64,
) -> Option<u64> {
    let could_sell = |(_, entry): &&(Item, Entry)| entry.may_sell(now_ms);
    left_out.iter().find(could_sell)?;
    let ends = placed.iter().filter(could_sell);
    ends.map(|(_, entry)| entry.window.ends_ms).min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sale::halt::Halt;
    use crate::sale::window::Window;

    fn product(id: usize, opens_ms: u64, ends_ms: u64) -> (Item, Entry) {
        let entry = Entry {
            window: Window { opens_ms, ends_ms },
            limit: 1,
            per_buyer: 1,
            segments: 1,
            price_cents: 1,
            halt: None,
            priced_ms: 0,
        };
        (Item::new("r", &id.to_string()).unwrap(), entry)
    }

    #[test]
    fn what_is_over_waits_behind_all_that_may_sell() {
        let mut products = vec![
            product(1, 0, 50),
            product(2, 200, 900),
            product(3, 0, 400),
            product(4, 0, 90),
        ];
        sort(&mut products, 100);
        let ids: Vec<&str> = products.iter().map(|(item, _)| item.product()).collect();
        assert_eq!(ids, ["3", "2", "4", "1"]);
        assert_eq!(next_turn_ms(&products[..1], &products[1..], 100), Some(400));
        assert_eq!(next_turn_ms(&products[..2], &products[2..], 100), None);
    }

    #[test]
    fn what_was_withdrawn_leaves_its_place_to_what_may_sell() {
        let mut products = vec![product(1, 0, 400), product(2, 200, 900)];
        products[0].1.halt = Some(Halt::Withdrawn);
        sort(&mut products, 100);
        assert_eq!(products[0].0.product(), "2");
        assert_eq!(next_turn_ms(&products[..1], &products[1..], 100), None);
        products[1].1.halt = Some(Halt::Paused);
        sort(&mut products, 100);
        assert_eq!(products[0].0.product(), "1", "a pause may be resumed");
    }

    proptest! {
        /// Whatever the room: nothing that may sell is left out for something over.
        #[test]
        fn nothing_on_sale_is_left_out_for_something_that_is_over(
            ends in prop::collection::vec(1u64..200, 1..60),
            room in 0usize..60,
            now_ms in 0u64..250,
        ) {
            let mut products: Vec<_> =
                ends.iter().enumerate().map(|(id, ends_ms)| product(id, 0, *ends_ms)).collect();
            sort(&mut products, now_ms);
            let (placed, left_out) = products.split_at(room.min(products.len()));
            let over = |(_, entry): &(Item, Entry)| entry.window.ends_ms <= now_ms;
            prop_assert!(left_out.iter().all(over) || !placed.iter().any(over));
        }
    }
}
