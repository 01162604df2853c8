//! Compares what all sites say of one product: each site's stock with its ledger, its ledger
//! with its transfers, and the two ends of every transfer.

use std::collections::BTreeMap;

use super::transfer::State;

/// One end of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The transfer's id.
    pub id: String,
    /// The site at the other end.
    pub peer: String,
    /// Whether this site asked for it, so that the items come here.
    pub comes: bool,
    /// Whether the other site was declared lost, and did not give it by itself.
    pub lost: bool,
    /// How many items move.
    pub items: u64,
    /// Items that this end could not give, since they were sold: the other site has them all
    /// the same.
    pub short: u64,
    /// Where it stands here.
    pub state: State,
}

/// What a site says of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The site.
    pub site: String,
    /// Items by its ledger, without transfers between sites.
    pub base: i64,
    /// Items that its ledger says each transfer brought; negative where it took them.
    pub moved: BTreeMap<String, i64>,
    /// The amount that its database has set aside.
    pub share: i64,
    /// Items for sale, locked and sold, and under way between its segments.
    pub holds: i64,
    /// All ends of transfers here.
    pub ends: Vec<End>,
}

/// What the sites come to together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Total {
    /// The round's amount: the bases of all sites.
    pub amount: i64,
    /// Items at the sites.
    pub held: i64,
    /// Items that have left a site and have not arrived at another.
    pub under_way: i64,
    /// Items that are sold twice, since a site that was declared lost had sold them.
    pub oversold: i64,
    /// Everything that does not agree, as sentences.
    pub faults: Vec<String>,
}

fn signed(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

/// Compares the accounts of all sites.
#[must_use]
pub fn audit(accounts: &[Account]) -> Total {
    let mut total = Total::default();
    for account in accounts {
        total.amount += account.base;
        total.held += account.holds;
        alone(account, &mut total);
        for end in &account.ends {
            pair(account, end, accounts, &mut total);
        }
    }
    let expected = total.amount + total.oversold;
    if total.held + total.under_way != expected {
        total.faults.push(format!(
            "the sites hold {} items and {} are under way, which is not the {expected} there are",
            total.held, total.under_way
        ));
    }
    total
}

/// A site by itself.
fn alone(account: &Account, total: &mut Total) {
    let Account {
        site,
        base,
        moved,
        share,
        holds,
        ends,
    } = account;
    let by_ledger = base + moved.values().sum::<i64>();
    if *holds != by_ledger {
        total.faults.push(format!(
            "{site} holds {holds} items, and by its ledger there are {by_ledger}"
        ));
    }
    let recorded: i64 = ends.iter().map(change).sum();
    if *share != base + recorded {
        total.faults.push(format!(
            "{site} has {share} items set aside, and by its transfers there are {}",
            base + recorded
        ));
    }
    for end in ends.iter().filter(|end| !end.state.is_between()) {
        let by_ledger = moved.get(&end.id).copied().unwrap_or(0);
        if by_ledger != change(end) {
            total.faults.push(format!(
                "transfer {} moved {by_ledger} items by the ledger of {site}, and {} on record",
                end.id,
                change(end)
            ));
        }
    }
}

/// What an end has changed of the amount that is set aside.
fn change(end: &End) -> i64 {
    match end.state {
        State::Arrived | State::Given => {}
        State::Done if end.items > 0 => {}
        _ => return 0,
    }
    match end.comes {
        true => signed(end.items),
        false => -signed(end.items),
    }
}

/// An end and its other end, as far as that site answered. Counted from the end that gives,
/// unless the other site was declared lost.
fn pair(here: &Account, end: &End, accounts: &[Account], total: &mut Total) {
    let other = accounts.iter().find(|it| it.site == end.peer);
    let theirs = other.map(|it| it.ends.iter().find(|their| their.id == end.id));
    match (end.comes, end.lost) {
        (false, _) => {
            total.oversold += signed(end.short);
            let has_arrived = matches!(theirs, Some(Some(their)) if change(their) != 0);
            if change(end) != 0 && !has_arrived {
                total.under_way += signed(end.items);
            }
        }
        (true, _) if change(end) == 0 => {}
        (true, lost) => {
            let gave = theirs.map(|their| their.map_or(0, |it| -change(it) + signed(it.short)));
            match gave {
                Some(gave) if gave == signed(end.items) => {}
                // It has not come back, or has not heard of it yet: until then the items are
                // counted at both.
                None | Some(0) if lost => total.under_way -= signed(end.items),
                gave => total.faults.push(format!(
                    "{} has {} items of transfer {}, and {} gave {}",
                    here.site,
                    end.items,
                    end.id,
                    end.peer,
                    gave.map_or("is away".to_owned(), |items| items.to_string())
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(id: &str, peer: &str, comes: bool, items: u64, state: State) -> End {
        End {
            id: id.to_owned(),
            peer: peer.to_owned(),
            comes,
            lost: false,
            items,
            short: 0,
            state,
        }
    }

    fn account(site: &str, base: i64, ends: Vec<End>) -> Account {
        let moved: BTreeMap<String, i64> = ends
            .iter()
            .map(|end| (end.id.clone(), change(end)))
            .filter(|(_, change)| *change != 0)
            .collect();
        let now = base + moved.values().sum::<i64>();
        Account {
            site: site.to_owned(),
            base,
            moved,
            share: now,
            holds: now,
            ends,
        }
    }

    #[test]
    fn sites_whose_transfers_agree_add_up_to_the_amount() {
        let east = vec![
            end("a", "west", true, 20, State::Done),
            end("b", "west", true, 0, State::Asked),
            end("c", "west", true, 0, State::Done),
        ];
        let west = vec![
            end("a", "east", false, 20, State::Done),
            end("b", "east", false, 5, State::Given),
        ];
        let total = audit(&[account("east", 60, east), account("west", 40, west)]);
        assert_eq!(total.faults, Vec::<String>::new());
        assert_eq!((total.amount, total.held, total.under_way), (100, 95, 5));
    }

    #[test]
    fn each_kind_of_disagreement_is_named() {
        let good = || {
            [
                account("east", 60, vec![end("a", "west", true, 20, State::Done)]),
                account("west", 40, vec![end("a", "east", false, 20, State::Done)]),
            ]
        };
        assert!(audit(&good()).faults.is_empty());
        type Damage = fn(&mut [Account; 2]);
        let damages: [(Damage, &str); 5] = [
            (
                |it| it[0].holds += 1,
                "east holds 81 items, and by its ledger",
            ),
            (|it| it[1].share -= 1, "west has 19 items set aside"),
            (
                |it| {
                    it[0].moved.clear();
                },
                "transfer a moved 0 items by the ledger of east",
            ),
            (
                |it| it[1].ends.clear(),
                "east has 20 items of transfer a, and west gave 0",
            ),
            (|it| it[1].ends[0].items = 19, "and west gave 19"),
        ];
        for (damage, said) in damages {
            let mut accounts = good();
            damage(&mut accounts);
            let total = audit(&accounts);
            let all = total.faults.join("\n");
            assert!(all.contains(said), "{all}");
        }
    }

    #[test]
    fn a_lost_site_is_counted_until_it_comes_back_and_what_it_had_sold_is_oversold() {
        let mut taken = end("l", "west", true, 30, State::Done);
        taken.lost = true;
        let east = account("east", 60, vec![taken]);
        let away = account("west", 40, Vec::new());
        let total = audit(&[east.clone(), away]);
        assert_eq!(total.faults, Vec::<String>::new());
        assert_eq!((total.held, total.under_way), (130, -30));

        let mut gave = end("l", "east", false, 28, State::Done);
        (gave.lost, gave.short) = (true, 2);
        let total = audit(&[east, account("west", 40, vec![gave])]);
        assert_eq!(total.faults, Vec::<String>::new());
        assert_eq!((total.held, total.under_way, total.oversold), (102, 0, 2));
    }
}
