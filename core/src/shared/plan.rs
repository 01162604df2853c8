//! How a zone is divided among the tables.

use thiserror::Error;

use super::products::Slot;
use super::sets::Set;
use super::{bans, passes, products, seen, winners};

/// Smallest zone that is accepted: 2 MiB.
pub const MIN_ZONE_BYTES: usize = 2 << 20;
/// Beyond this a larger catalogue would only cost cache misses.
const MAX_PRODUCTS: usize = 65_536;
/// Where a table may begin: what lies in two cache lines stays there.
const ALIGN: usize = 128;

/// The entries that a zone should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneNeeds {
    /// Products in the catalogue.
    pub products: usize,
    /// Buyers who are remembered.
    pub seen: usize,
    /// Bans that are in force.
    pub bans: usize,
    /// Captcha passes spent in the few minutes that one is good for.
    pub passes: usize,
    /// Bytes that the caller needs for something else, before the tables.
    pub reserved_bytes: usize,
}

impl Default for ZoneNeeds {
    fn default() -> Self {
        Self {
            products: 10_000,
            seen: 1_000_000,
            bans: 1_000_000,
            passes: 125_000,
            reserved_bytes: 0,
        }
    }
}

/// Where in the zone a table lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TablePlace {
    /// Bytes from the beginning of the allocation, which must begin at a multiple
    /// of 128 (large allocations of nginx begin at a page).
    pub offset: usize,
    /// Elements of the slice: [`products::Slot`] or [`Set`].
    pub count: usize,
    /// Entries that it is made for.
    pub holds: usize,
}

/// How a zone is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZonePlan {
    /// The catalogue, of [`products::Slot`].
    pub products: TablePlace,
    /// Buyers who were admitted, of [`Set`].
    pub seen: TablePlace,
    /// Bans, of [`Set`].
    pub bans: TablePlace,
    /// Captcha passes that were spent, of [`Set`].
    pub passes: TablePlace,
    /// Who may be among the winners, of [`Set`]; a fixed part of the zone.
    pub winners: TablePlace,
    /// Bytes to allocate, with what the caller reserved.
    pub bytes: usize,
    zone_bytes: usize,
    wanted: ZoneNeeds,
}

/// A zone that is smaller than [`MIN_ZONE_BYTES`], or than what the caller reserves.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a zone of {zone_bytes} bytes is too small: make it at least {least_mib}m, or {full_mib}m to hold {} products, {} admitted buyers and {} bans",
    .wanted.products, .wanted.seen, .wanted.bans
)]
pub struct ZoneTooSmall {
    /// Its size.
    pub zone_bytes: usize,
    /// Smallest size that works, in MiB.
    pub least_mib: usize,
    /// Size that holds everything wanted, in MiB.
    pub full_mib: usize,
    wanted: ZoneNeeds,
}

/// Bytes of a zone that may be allocated in one piece. nginx keeps 24 bytes a
/// page of 4 KiB, some 700 at the beginning, and begins at a whole page, which
/// on some machines has 64 KiB.
#[must_use]
pub fn usable(zone_bytes: usize) -> usize {
    zone_bytes.saturating_sub(zone_bytes / 128 + (128 << 10))
}

fn up(bytes: usize) -> usize {
    bytes.div_ceil(ALIGN).saturating_mul(ALIGN)
}

/// Bytes of the tables: products, seen, bans, passes.
fn needs(wanted: &ZoneNeeds) -> [usize; 4] {
    [
        up(products::bytes_for(wanted.products)),
        seen::bytes_for(wanted.seen),
        bans::bytes_for(wanted.bans),
        passes::bytes_for(wanted.passes),
    ]
}

/// `value * numerator / denominator`, rounded down.
fn share(value: usize, numerator: usize, denominator: usize) -> usize {
    let product = value as u128 * numerator as u128 / denominator.max(1) as u128;
    usize::try_from(product).unwrap_or(usize::MAX)
}

/// Size of a zone that holds everything wanted, in whole MiB.
#[must_use]
pub fn zone_for(wanted: &ZoneNeeds) -> usize {
    let rest = [128 << 10, up(wanted.reserved_bytes), 3 * ALIGN];
    let bytes = needs(wanted)
        .iter()
        .chain(&rest)
        .fold(0_usize, |sum, part| sum.saturating_add(*part));
    // nginx's bookkeeping is one part in 128, the winners' filter another.
    let zone = share(bytes, 128, 126).saturating_add(128);
    zone.max(MIN_ZONE_BYTES)
        .div_ceil(1 << 20)
        .saturating_mul(1 << 20)
}

/// Size of a zone that holds so many products, in whole MiB; `None` if none does.
#[must_use]
pub fn zone_for_products(products: usize, wanted: &ZoneNeeds) -> Option<usize> {
    (products <= MAX_PRODUCTS).then(|| smallest(wanted, |plan| plan.products.holds >= products))
}

/// Size of a zone whose share for bans is large enough for `bans`, in whole MiB.
#[must_use]
pub fn zone_for_bans(bans: usize, wanted: &ZoneNeeds) -> usize {
    smallest(wanted, |plan| plan.bans.holds >= bans)
}

/// Size of the smallest zone whose plan suffices, in whole MiB. A larger zone never
/// holds less.
fn smallest(wanted: &ZoneNeeds, suffices: impl Fn(&ZonePlan) -> bool) -> usize {
    let is_enough = |mib: usize| plan(mib << 20, wanted).is_ok_and(|plan| suffices(&plan));
    // No zone is larger than a TiB.
    let (mut too_small, mut enough) = (0_usize, 1 << 20);
    while enough - too_small > 1 {
        let middle = too_small.midpoint(enough);
        if is_enough(middle) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    enough << 20
}

/// Divides a zone of `zone_bytes`.
///
/// A zone of [`zone_for`] holds what is wanted. A larger one holds more of
/// everything, in the same proportion (products up to 65,536): the zone's size
/// is all that an operator sets. In a smaller one, products keep up to a
/// quarter of the room, since one that finds no place is not sold at all; the
/// others share the rest in the proportion wanted.
///
/// | zone | products | admitted buyers | bans | captcha passes |
/// |---|---|---|---|---|
/// | 2 MiB | 1,180 | 24,090 | 24,092 | 3,008 |
/// | 16 MiB | 10,000 | 204,176 | 204,180 | 25,520 |
/// | 63 MiB | 10,096 | 1,009,629 | 1,009,636 | 126,203 |
/// | 128 MiB | 20,533 | 2,053,419 | 2,053,420 | 256,679 |
///
/// # Errors
/// [`ZoneTooSmall`], whose sentence says how large the zone must be.
pub fn plan(zone_bytes: usize, wanted: &ZoneNeeds) -> Result<ZonePlan, ZoneTooSmall> {
    let winners_at = up(wanted.reserved_bytes);
    let winners_bytes = winners::bytes_for(zone_bytes);
    let reserved = winners_at + winners_bytes;
    let least = zone_for(&ZoneNeeds {
        products: 1_000,
        seen: 0,
        bans: 0,
        passes: 0,
        ..*wanted
    });
    if zone_bytes < least {
        return Err(ZoneTooSmall {
            zone_bytes,
            least_mib: least >> 20,
            full_mib: zone_for(wanted) >> 20,
            wanted: *wanted,
        });
    }
    let room = usable(zone_bytes).saturating_sub(reserved) / ALIGN * ALIGN;
    let [products_need, seen_need, bans_need, passes_need] = needs(wanted);
    let rest_need = seen_need
        .saturating_add(bans_need)
        .saturating_add(passes_need);
    let all = products_need.saturating_add(rest_need);
    let products_share = if room >= all {
        let most = up(products::bytes_for(MAX_PRODUCTS.max(wanted.products)));
        share(products_need, room, all).min(most)
    } else {
        products_need.min((room / 4).max(share(products_need, room, all)))
    };
    let products_bytes = products_share / ALIGN * ALIGN;
    let rest = room - products_bytes;
    let sets = |need| share(rest, need, rest_need) / size_of::<Set>();
    let (seen_count, bans_count, passes_count) =
        (sets(seen_need), sets(bans_need), sets(passes_need));
    let seen_at = reserved + products_bytes;
    let bans_at = seen_at + seen_count * size_of::<Set>();
    let passes_at = bans_at + bans_count * size_of::<Set>();
    let product_slots = products_bytes / size_of::<Slot>();
    Ok(ZonePlan {
        products: TablePlace {
            offset: reserved,
            count: product_slots,
            holds: products::holds(product_slots),
        },
        seen: TablePlace {
            offset: seen_at,
            count: seen_count,
            holds: seen::holds(seen_count),
        },
        bans: TablePlace {
            offset: bans_at,
            count: bans_count,
            holds: bans::holds(bans_count),
        },
        passes: TablePlace {
            offset: passes_at,
            count: passes_count,
            holds: passes::holds(passes_count),
        },
        winners: TablePlace {
            offset: winners_at,
            count: winners_bytes / size_of::<Set>(),
            holds: winners::holds(winners_bytes / size_of::<Set>()),
        },
        bytes: passes_at + passes_count * size_of::<Set>(),
        zone_bytes,
        wanted: *wanted,
    })
}

impl ZonePlan {
    /// A sentence for the log if the zone holds less than was wanted.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        let wanted = &self.wanted;
        let is_enough = self.products.holds >= wanted.products
            && self.seen.holds >= wanted.seen
            && self.bans.holds >= wanted.bans
            && self.passes.holds >= wanted.passes;
        (!is_enough).then(|| {
            format!(
                "a zone of {} MiB holds {} products, {} admitted buyers, {} bans and {} captcha passes; make it {}m to hold {}, {}, {} and {}",
                self.zone_bytes >> 20,
                self.products.holds,
                self.seen.holds,
                self.bans.holds,
                self.passes.holds,
                zone_for(wanted) >> 20,
                wanted.products,
                wanted.seen,
                wanted.bans,
                wanted.passes,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_order_fits_far_below_128_mib() {
        let wanted = ZoneNeeds {
            reserved_bytes: 64 << 10,
            ..ZoneNeeds::default()
        };
        assert!(zone_for(&wanted) <= 63 << 20, "{}", zone_for(&wanted));
        let plan = plan(128 << 20, &wanted).unwrap();
        assert_eq!(plan.shortfall(), None);
        assert!(plan.bytes <= 128 << 20);
    }

    #[test]
    fn the_documented_sizes_are_right() {
        let holds = |mib: usize| {
            let plan = plan(mib << 20, &ZoneNeeds::default()).unwrap();
            (
                plan.products.holds,
                plan.seen.holds,
                plan.bans.holds,
                plan.passes.holds,
            )
        };
        assert_eq!(holds(2), (1_180, 24_090, 24_092, 3_008));
        assert_eq!(holds(16), (10_000, 204_176, 204_180, 25_520));
        assert_eq!(holds(63), (10_096, 1_009_629, 1_009_636, 126_203));
        assert_eq!(holds(128), (20_533, 2_053_419, 2_053_420, 256_679));
        assert_eq!(zone_for(&ZoneNeeds::default()), 63 << 20);
    }

    #[test]
    fn a_small_zone_says_what_it_holds_and_how_large_it_should_be() {
        let plan = plan(2 << 20, &ZoneNeeds::default()).unwrap();
        assert!(plan.products.holds >= 1_000 && plan.seen.holds >= 20_000);
        let sentence = plan.shortfall().unwrap();
        assert!(
            sentence.contains("2 MiB holds") && sentence.contains("make it 63m"),
            "{sentence}"
        );
    }

    #[test]
    fn a_zone_too_small_says_how_large_it_must_be() {
        let sentence = plan(1 << 20, &ZoneNeeds::default())
            .unwrap_err()
            .to_string();
        assert!(sentence.contains("at least 2m, or 63m"), "{sentence}");
        let greedy = ZoneNeeds {
            reserved_bytes: 10 << 20,
            ..ZoneNeeds::default()
        };
        let error = plan(4 << 20, &greedy).unwrap_err();
        assert_eq!(error.least_mib, 11);
        assert!(plan(error.least_mib << 20, &greedy).is_ok());
    }

    #[test]
    fn a_zone_for_many_bans_is_as_large_as_it_must_be_and_no_larger() {
        for bans in [0, 30_000, 1_000_000, 5_000_000] {
            let zone = zone_for_bans(bans, &ZoneNeeds::default());
            let holds =
                |bytes| plan(bytes, &ZoneNeeds::default()).map_or(0, |plan| plan.bans.holds);
            assert!(holds(zone) >= bans, "{bans}");
            assert!(bans == 0 || holds(zone - (1 << 20)) < bans, "{bans}");
        }
        assert_eq!(zone_for_bans(0, &ZoneNeeds::default()), MIN_ZONE_BYTES);
    }

    #[test]
    fn a_zone_for_many_products_is_as_large_as_it_must_be_and_no_larger() {
        for products in [1, 1_200, 10_000, 20_000, 65_536] {
            let zone = zone_for_products(products, &ZoneNeeds::default()).unwrap();
            let holds =
                |bytes| plan(bytes, &ZoneNeeds::default()).map_or(0, |plan| plan.products.holds);
            assert!(holds(zone) >= products, "{products}");
            assert!(holds(zone - (1 << 20)) < products, "{products}");
        }
        assert_eq!(zone_for_products(65_537, &ZoneNeeds::default()), None);
    }

    proptest! {
        #[test]
        fn parts_lie_one_behind_the_other_within_the_zone(
            zone in MIN_ZONE_BYTES..1 << 30,
            products in 0..70_000_usize,
            seen in 0..3_000_000_usize,
            bans in 0..3_000_000_usize,
            passes in 0..1_000_000_usize,
            reserved_bytes in 0..100_000_usize,
        ) {
            let wanted = ZoneNeeds { products, seen, bans, passes, reserved_bytes };
            let plan = plan(zone, &wanted).unwrap();
            let end = |part: TablePlace, size: usize| {
                assert_eq!(part.offset % 128, 0);
                part.offset + part.count * size
            };
            prop_assert!(plan.products.offset >= reserved_bytes);
            prop_assert!(end(plan.products, size_of::<Slot>()) <= plan.seen.offset);
            prop_assert_eq!(end(plan.seen, size_of::<Set>()), plan.bans.offset);
            prop_assert_eq!(end(plan.bans, size_of::<Set>()), plan.passes.offset);
            prop_assert_eq!(end(plan.passes, size_of::<Set>()), plan.bytes);
            prop_assert!(plan.bytes + zone / 4096 * 24 + 8192 <= zone);
            // A larger zone never holds less, and one as large as is said suffices.
            let larger = super::plan(zone + (1 << 20), &wanted).unwrap();
            prop_assert!(larger.products.holds >= plan.products.holds);
            prop_assert!(larger.bans.holds >= plan.bans.holds);
            prop_assert!(larger.seen.holds >= plan.seen.holds);
            prop_assert!(larger.passes.holds >= plan.passes.holds);
            let enough = super::plan(zone_for(&wanted), &wanted).unwrap();
            prop_assert_eq!(enough.shortfall(), None);
            if zone < zone_for(&wanted) && plan.shortfall().is_none() {
                prop_assert!(zone + (2 << 20) > zone_for(&wanted));
            }
        }
    }
}
