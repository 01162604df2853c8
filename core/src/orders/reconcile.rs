//! Reconciliation: a provider's list of payments beside our records. What the provider
//! knows and we do not is mended as if its notice had arrived only now; what contradicts
//! itself is for a person.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::orders::money::Money;
use crate::orders::payment::{Notice, Reported, State};

/// A payment in our records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The key under which it is stored.
    pub key: String,
    /// Its id at the provider.
    pub id: String,
    /// The order that it was for, as its notice named it.
    pub order: String,
    /// Its amount.
    pub amount: Money,
    /// Its state.
    pub state: State,
    /// How much of it was refunded in all, in minor units.
    pub refunded: u64,
}

/// What differs between the provider's list and ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The provider reports what is not on record here: its notice never arrived.
    NotHere(Notice),
    /// The amounts of a payment differ.
    Amount(Notice, Recorded),
    /// A payment is for another order there than here.
    Order(Notice, Recorded),
    /// Money that is on record here, and of which the provider knows nothing.
    NotThere(Recorded),
    /// More was refunded here than the provider says.
    Refunded(Notice, Recorded),
}

impl Difference {
    /// The notice that mends it, if one does.
    #[must_use]
    pub fn mended_by(&self) -> Option<&Notice> {
        match self {
            Self::NotHere(notice) => Some(notice),
            _ => None,
        }
    }

    /// The difference in one word, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotHere(_) => "not_here",
            Self::Amount(..) => "amount",
            Self::Order(..) => "order",
            Self::NotThere(_) => "not_there",
            Self::Refunded(..) => "refunded",
        }
    }
}

impl fmt::Display for Difference {
    /// One sentence for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere(notice) => write!(
                f,
                "payment {} of {} for order {} is not on record here as the provider reports it",
                notice.payment, notice.amount, notice.order
            ),
            Self::Amount(notice, ours) => write!(
                f,
                "payment {} is of {} at the provider, and of {} here",
                ours.id, notice.amount, ours.amount
            ),
            Self::Order(notice, ours) => write!(
                f,
                "payment {} is for order {} at the provider, and for order {} here",
                ours.id, notice.order, ours.order
            ),
            Self::NotThere(ours) => write!(
                f,
                "payment {} of {} for order {} is on record here, and the provider does not know it",
                ours.id, ours.amount, ours.order
            ),
            Self::Refunded(_, ours) => write!(
                f,
                "of payment {} more was refunded here ({}) than the provider says",
                ours.id,
                Money::new(ours.refunded, ours.amount.currency)
            ),
        }
    }
}

/// Compares what a provider reports with what is on record.
///
/// `theirs` covers a longer time than `ours`, since a payment may be reported on one side
/// of midnight and recorded on the other. `known` are our records of any time, by their
/// keys; `ours` are the keys of those in the time that is compared.
#[must_use]
pub fn compare(
    theirs: &[Notice],
    known: &HashMap<String, Recorded>,
    ours: &HashSet<String>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut reported = HashSet::new();
    for notice in theirs {
        let key = notice.key();
        differences.extend(difference(notice, known.get(&key)));
        reported.insert(key);
    }
    let mut missing: Vec<&Recorded> = known
        .values()
        .filter(|it| ours.contains(&it.key) && !reported.contains(&it.key))
        .filter(|it| it.state != State::Failed)
        .collect();
    missing.sort_by(|a, b| a.key.cmp(&b.key));
    differences.extend(missing.into_iter().cloned().map(Difference::NotThere));
    differences
}

fn difference(notice: &Notice, ours: Option<&Recorded>) -> Option<Difference> {
    let Some(ours) = ours else {
        let counts = notice.reported != Reported::Failed;
        return counts.then(|| Difference::NotHere(notice.clone()));
    };
    match notice.reported {
        Reported::Failed => None,
        _ if ours.state == State::Failed => Some(Difference::NotHere(notice.clone())),
        _ if notice.amount != ours.amount => Some(Difference::Amount(notice.clone(), ours.clone())),
        _ if !notice.order.is_empty() && notice.order != ours.order => {
            Some(Difference::Order(notice.clone(), ours.clone()))
        }
        Reported::Refunded(part) if part > ours.refunded => {
            Some(Difference::NotHere(notice.clone()))
        }
        Reported::Refunded(part) if part < ours.refunded => {
            Some(Difference::Refunded(notice.clone(), ours.clone()))
        }
        // A list need not say what was refunded.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::money::Currency;
    use crate::orders::payment::ProviderName;

    fn notice(payment: &str, minor: u64, reported: Reported) -> Notice {
        Notice {
            provider: ProviderName::Stripe,
            payment: payment.to_owned(),
            order: "7".to_owned(),
            amount: Money::new(minor, Currency::CNY),
            reported,
        }
    }

    fn recorded(payment: &str, minor: u64, state: State, refunded: u64) -> Recorded {
        let notice = notice(payment, minor, Reported::Paid);
        Recorded {
            key: notice.key(),
            id: notice.payment,
            order: notice.order,
            amount: notice.amount,
            state,
            refunded,
        }
    }

    fn kinds(theirs: &[Notice], ours: &[Recorded]) -> Vec<(&'static str, bool)> {
        let known = ours.iter().map(|it| (it.key.clone(), it.clone())).collect();
        let keys = ours.iter().map(|it| it.key.clone()).collect();
        let found = compare(theirs, &known, &keys);
        let named = found.iter().map(|it| (it.kind(), it.mended_by().is_some()));
        named.collect()
    }

    #[test]
    fn what_agrees_is_no_difference() {
        let theirs = [
            notice("a", 5, Reported::Paid),
            notice("b", 5, Reported::Refunded(5)),
            notice("c", 5, Reported::Refunded(2)),
            notice("d", 5, Reported::Failed),
            notice("e", 5, Reported::Paid),
        ];
        let ours = [
            recorded("a", 5, State::Paid, 0),
            recorded("b", 5, State::Refunded, 5),
            recorded("c", 5, State::Paid, 2),
            recorded("e", 5, State::RefundDue, 0),
            recorded("f", 5, State::Failed, 0),
        ];
        assert_eq!(kinds(&theirs, &ours), []);
    }

    #[test]
    fn a_notice_that_never_arrived_is_mended_and_a_contradiction_is_not() {
        let paid = notice("a", 5, Reported::Paid);
        assert_eq!(
            kinds(std::slice::from_ref(&paid), &[]),
            [("not_here", true)]
        );
        let failed = recorded("a", 5, State::Failed, 0);
        assert_eq!(kinds(&[paid], &[failed]), [("not_here", true)]);
        let refunded = notice("a", 5, Reported::Refunded(3));
        let ours = |refunded| [recorded("a", 5, State::Paid, refunded)];
        assert_eq!(
            kinds(std::slice::from_ref(&refunded), &ours(1)),
            [("not_here", true)]
        );
        assert_eq!(kinds(&[refunded], &ours(4)), [("refunded", false)]);
        let more = notice("a", 6, Reported::Paid);
        assert_eq!(kinds(&[more], &ours(0)), [("amount", false)]);
        assert_eq!(kinds(&[], &ours(0)), [("not_there", false)]);
        let mut elsewhere = notice("a", 5, Reported::Paid);
        elsewhere.order = "8".to_owned();
        assert_eq!(kinds(&[elsewhere], &ours(0)), [("order", false)]);
        let mut unnamed = notice("a", 5, Reported::Paid);
        unnamed.order = String::new();
        assert_eq!(kinds(&[unnamed], &ours(0)), []);
    }

    #[test]
    fn a_payment_of_another_day_is_not_missed_at_the_provider() {
        let ours = recorded("a", 5, State::Paid, 0);
        let known = HashMap::from([(ours.key.clone(), ours)]);
        assert_eq!(compare(&[], &known, &HashSet::new()), []);
    }
}
