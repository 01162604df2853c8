//! Edits of a round that is approved: only those that keep every promise to shoppers, and
//! of these one person alone may make those that lower amounts. The others were proposed
//! by one and are approved by another (`super::proposals`).
//!
//! Name, title, text, picture and order may change; an end may be moved later; a start
//! may be moved while it is more than a minute away; the amount is adjusted as by
//! `seckill stock adjust`; a price may be lowered, for whoever buys from then on. List
//! prices, caps and the list of products stay.

use std::time::Duration;

use seckill_core::ids::Item;
use tokio::time::Instant;

use super::approval::approver;
use super::conflicts::{alone, edited_meanwhile, refuse_withdrawn, refused, stock_moves};
use super::form::{self, Checked, RoundForm, Rules, money, shown_time};
use super::problem::Problem;
use super::{audit_entry, need_redis, rules};
use crate::console::ConsoleState;
use crate::console::error::{ConsoleError, FieldMistake};
use crate::now_ms;
use crate::sale::approve::ApproveError;
use crate::sale::room;
use crate::stock::adjust::{AdjustError, Adjusted, Adjuster, Raise};
use crate::store::difference::{Difference, one_person_may};
use crate::store::locks::Lock;
use crate::store::proposals::Proposal;
use crate::store::round::{Round, RoundState, StoredRound};
use crate::store::round_changes::ChangeError;
use crate::store::{Actor, Store};

/// A start may be moved until this long before it, and no closer than this from now,
/// in ms: waiting pages have polled the new start by then.
const NOTICE_MS: u64 = 60_000;

/// An edit that is allowed.
#[derive(Debug)]
pub(super) struct Revised {
    /// The round as it will be, with the amounts that it was approved with.
    pub(super) round: Round,
    /// Products whose amount changes: their place in the form, and the new amount.
    amounts: Vec<(usize, Item, u64)>,
    /// All that differs from the round as it sells.
    pub(super) changes: Vec<Difference>,
}

impl Revised {
    /// Whether this does nothing but what was proposed. What was proposed and is so
    /// already, such as an amount, is no difference.
    pub(super) fn is_as_proposed(&self, proposed: &[Difference]) -> bool {
        self.changes.iter().all(|it| proposed.contains(it))
    }
}

/// Applies `form` to an approved round.
///
/// # Errors
/// The fields that cannot be changed any more.
pub(super) fn revised(
    stored: &StoredRound,
    form: &RoundForm,
    rules: Rules<'_>,
) -> Result<Revised, Vec<FieldMistake>> {
    let rules = Rules {
        may_have_begun: true,
        ..rules
    };
    let mut form = form.clone();
    for product in &mut form.products {
        // The split over segments is fixed, and follows the amount by itself.
        product.segments.clear();
    }
    let Checked { mut round, .. } = form::check(&form, &stored.round.id, rules)?;
    let now = stored.in_force();
    let mut mistakes = time_mistakes(&now, &round, rules);
    let mut amounts = Vec::new();
    let mut known: Vec<&str> = now.products.iter().map(|it| it.id.as_str()).collect();
    let mut sent: Vec<&str> = round.products.iter().map(|it| it.id.as_str()).collect();
    known.sort_unstable();
    sent.sort_unstable();
    if known != sent {
        let list = known.join(", ");
        mistakes.push(fixed(
            "products",
            "fixed_products",
            &list,
            format!("After the approval no product can be added or removed; these are {list}"),
        ));
        return Err(mistakes);
    }
    let changes = Difference::between(&now, &round);
    for (at, product) in round.products.iter_mut().enumerate() {
        let same = |it: &&crate::store::round::Product| it.id == product.id;
        let (Some(was), Some(planned)) = (
            now.products.iter().find(same),
            stored.round.products.iter().find(same),
        ) else {
            continue;
        };
        if product.price_cents > was.price_cents {
            let value = money(was.price_cents, rules.currency);
            mistakes.push(fixed(
                &format!("products.{at}.price_cents"),
                "price_raised",
                &value,
                format!("After the approval this is {value} or less, since shoppers have seen it"),
            ));
        }
        product.priced_ms = match product.price_cents < was.price_cents {
            true => rules.now_ms,
            false => was.priced_ms,
        };
        let numbers = [
            (
                "list_price_cents",
                was.list_price_cents != product.list_price_cents,
                money(was.list_price_cents, rules.currency),
            ),
            (
                "per_buyer",
                was.per_buyer != product.per_buyer,
                was.per_buyer.to_string(),
            ),
        ];
        for (field, _, value) in numbers.into_iter().filter(|(_, differs, _)| *differs) {
            mistakes.push(fixed(
                &format!("products.{at}.{field}"),
                "fixed",
                &value,
                format!("After the approval this stays {value}, since shoppers have seen it"),
            ));
        }
        if was.amount != product.amount
            && let Some(item) = Item::new(&now.id, &product.id)
        {
            amounts.push((at, item, product.amount));
        }
        product.amount = planned.amount;
        product.segments.clone_from(&planned.segments);
        product.per_buyer = planned.per_buyer;
    }
    if mistakes.is_empty() {
        Ok(Revised {
            round,
            amounts,
            changes,
        })
    } else {
        Err(mistakes)
    }
}

fn time_mistakes(now: &Round, revised: &Round, rules: Rules<'_>) -> Vec<FieldMistake> {
    let mut mistakes = Vec::new();
    let shown = |ms| shown_time(ms, rules.zone);
    if revised.opens_ms != now.opens_ms {
        let value = shown(now.opens_ms);
        if now.opens_ms < rules.now_ms + NOTICE_MS {
            mistakes.push(fixed(
                "starts_ms",
                "fixed_start",
                &value,
                format!("The start stays {value}: it is less than a minute away, or has passed"),
            ));
        } else if revised.opens_ms < rules.now_ms + NOTICE_MS {
            mistakes.push(fixed(
                "starts_ms",
                "start_too_soon",
                &value,
                format!(
                    "{} is less than a minute away; waiting shoppers need time to see it",
                    shown(revised.opens_ms)
                ),
            ));
        }
    }
    if now.ends_ms <= rules.now_ms {
        let value = shown(now.ends_ms);
        mistakes.push(fixed(
            "ends_ms",
            "round_over",
            &value,
            format!("The round ended at {value}; copy it for another day"),
        ));
    } else if revised.ends_ms < now.ends_ms && revised.opens_ms == now.opens_ms {
        let value = shown(now.ends_ms);
        mistakes.push(fixed(
            "ends_ms",
            "fixed_end",
            &value,
            format!(
                "The end can be moved later than {value}, not earlier: shoppers rely on that time"
            ),
        ));
    }
    mistakes
}

fn fixed(field: &str, code: &'static str, value: &str, message: String) -> FieldMistake {
    FieldMistake {
        field: field.to_owned(),
        code,
        message: format!("{message}."),
        values: vec![value.to_owned()],
        place: None,
    }
}

/// How long an edit waits for another one of the same round to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the lock of an edit of many products is renewed.
const RENEW: Duration = Duration::from_secs(5);

/// Carries the edit out: amounts, database, Redis, pages. Returns what does not follow yet
/// of an edit that is saved. `proposal` is what a second person, `by`, approved; without it
/// one person asks.
///
/// One edit of a round at a time: amounts are changed before the round is saved, and what
/// a refused edit takes back must not be another one's.
pub(super) async fn save(
    state: &ConsoleState,
    before: &StoredRound,
    form: &RoundForm,
    by: &Actor,
    proposal: Option<&Proposal>,
) -> Result<Problem, ConsoleError> {
    let revised = revised(before, form, rules(state)).map_err(ConsoleError::Mistakes)?;
    let store = state.store.get().await?;
    let lock = store.lock_round(&revised.round.id, PATIENCE).await?;
    let Some(lock) = lock else {
        return Err(ConsoleError::Conflict {
            code: "changed_meanwhile",
            message: "Somebody else is changing this round at this moment, so your edit was not \
                      saved. Try again when they have finished."
                .to_owned(),
            current: None,
        });
    };
    let edit = Edit {
        state,
        store,
        lock: &lock,
        by,
        proposal,
    };
    let saved = edit.carry_out(before, revised).await;
    if let Err(error) = store.unlock(&lock).await {
        tracing::warn!(%error, "the lock of an edit is free only in half a minute");
    }
    saved
}

/// An edit under way.
struct Edit<'a> {
    state: &'a ConsoleState,
    store: &'a Store,
    lock: &'a Lock,
    by: &'a Actor,
    proposal: Option<&'a Proposal>,
}

/// A product whose amount an edit has changed: what it was, and is.
struct Made<'a> {
    item: &'a Item,
    from: u64,
    to: u64,
}

impl Edit<'_> {
    async fn carry_out(
        &self,
        before: &StoredRound,
        revised: Revised,
    ) -> Result<Problem, ConsoleError> {
        let Self {
            state,
            store,
            by,
            proposal,
            ..
        } = *self;
        let seen = before.trail.version;
        let fits = store.check_revision(&revised.round, seen).await;
        fits.map_err(|error| edit_refused(error, state))?;
        if proposal.is_none() && revised.changes.is_empty() {
            // Nothing to save, nor to say in the audit log; nobody's open editor is outdated.
            return Ok(Problem::default());
        }
        refuse_withdrawn(before, &revised.changes)?;
        if !proposal.map_or_else(
            || one_person_may(&revised.changes),
            |proposal| revised.is_as_proposed(&proposal.changes),
        ) {
            return Err(ConsoleError::SecondPerson(revised.changes));
        }
        need_redis(state).await?;
        let Revised {
            round,
            amounts,
            changes,
        } = revised;
        // Everything is checked before anything is changed.
        // What only lowers amounts needs no room.
        if !one_person_may(&changes)
            && let Err(error) = room::check(&state.redis, &round, now_ms()).await?
        {
            return Err(ConsoleError::Conflict {
                code: "no_room",
                message: format!("Nothing was changed: {error}."),
                current: None,
            });
        }
        let adjuster = Adjuster {
            redis: &state.redis,
            segments: &state.segments,
            store,
            by,
            raise: proposal.map_or(Raise::Refused, |it| Raise::Approved {
                proposal: it.id,
                by: &it.proposed_by,
            }),
            site: state.config.site.as_ref(),
        };
        for (at, item, amount) in &amounts {
            let fits = adjuster.check(item, *amount).await;
            fits.map_err(|error| not_adjusted(error, *at, *amount))?;
        }
        let made = self.adjust(&adjuster, &amounts, seen).await?;
        let mut entry = audit_entry("round.edit", &round);
        entry.detail = Difference::detail(&changes);
        if let Some(proposal) = proposal {
            entry.detail["proposal"] = proposal.id.into();
            entry.detail["proposed_by"] = proposal.proposed_by.clone().into();
        }
        let revised = store.revise_round(&round, seen, by, &entry, now_ms()).await;
        if let Err(error) = revised {
            // Such as by the stop switch, since the check.
            set_back(&adjuster, &made, seen).await;
            return Err(edit_refused(error, state));
        }
        if before.published_ms.is_none() {
            return Ok(Problem::default());
        }
        let published = approver(state, store)
            .put_on_sale(&round.id, now_ms())
            .await;
        let left = "It is saved, but not everything follows yet";
        Ok(match published {
            Ok(()) => Problem::default(),
            Err(ApproveError::Publish { source, .. }) => Problem::of("not_all", left, &source),
            Err(error) => Problem::of("not_all", left, &error),
        })
    }

    /// Adjusts all amounts, or none. Returns what was changed.
    async fn adjust<'m>(
        &self,
        adjuster: &Adjuster<'_>,
        amounts: &'m [(usize, Item, u64)],
        seen: u64,
    ) -> Result<Vec<Made<'m>>, ConsoleError> {
        let mut made = Vec::new();
        let mut renewed = Instant::now();
        for (at, item, amount) in amounts {
            // An edit that was refused, and set back, may be sent again.
            let request = format!("console-{seen}-{}", now_ms());
            let adjusted = match self.renew(&mut renewed).await {
                Ok(()) => adjuster
                    .adjust(item, *amount, &request)
                    .await
                    .map_err(|error| not_adjusted(error, *at, *amount)),
                Err(error) => Err(error),
            };
            match adjusted {
                Ok(Adjusted::Changed { from, to }) => made.push(Made { item, from, to }),
                Ok(Adjusted::Before(_)) => {}
                Err(error) => {
                    set_back(adjuster, &made, seen).await;
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Renews the lock now and then.
    async fn renew(&self, renewed: &mut Instant) -> Result<(), ConsoleError> {
        if renewed.elapsed() < RENEW {
            return Ok(());
        }
        *renewed = Instant::now();
        match self.store.renew(self.lock).await? {
            true => Ok(()),
            false => Err(ConsoleError::Conflict {
                code: "changed_meanwhile",
                message: "This edit took so long that somebody else began another one. Nothing \
                          was changed; open the round again."
                    .to_owned(),
                current: None,
            }),
        }
    }
}

/// Gives products the amounts that they had before an edit, where nobody has changed them
/// since.
async fn set_back(adjuster: &Adjuster<'_>, made: &[Made<'_>], seen: u64) {
    for Made { item, from, to } in made {
        let adjuster = Adjuster {
            raise: Raise::Back { made: *to },
            ..*adjuster
        };
        // Its own entry in the audit log says that it went back.
        let request = format!("console-{seen}-back-{}", now_ms());
        if let Err(error) = adjuster.adjust(item, *from, &request).await {
            tracing::error!(%item, amount = from, %error, "an amount of a refused edit was not set back");
        }
    }
}

/// The refusal of an edit that the store did not make.
fn edit_refused(error: ChangeError, state: &ConsoleState) -> ConsoleError {
    match error {
        // It was approved long ago: another edit came first.
        ChangeError::NotAsSeen(stored) if stored.state == RoundState::Approved => {
            edited_meanwhile(&stored, state)
        }
        error => refused(error, state),
    }
}

/// The refusal of an amount.
fn not_adjusted(error: AdjustError, at: usize, amount: u64) -> ConsoleError {
    match error {
        AdjustError::Link(error) => error.into(),
        AdjustError::Store(error) | AdjustError::NoStore(error) => error.into(),
        AdjustError::Raises { item, from, amount } => {
            ConsoleError::SecondPerson(vec![Difference {
                field: format!("{}.amount", item.product()),
                from: from.into(),
                to: amount.into(),
            }])
        }
        AdjustError::Alone(error) => alone(error),
        error @ AdjustError::Withdrawn(_) => ConsoleError::Conflict {
            code: "round_withdrawn",
            message: format!("Nothing was changed: {error}."),
            current: None,
        },
        error
        @ (AdjustError::Busy(_) | AdjustError::BetweenSites(_) | AdjustError::Unsteady(_)) => {
            stock_moves(&error)
        }
        error => ConsoleError::Mistakes(vec![fixed(
            &format!("products.{at}.amount"),
            "amount_refused",
            &amount.to_string(),
            error.to_string(),
        )]),
    }
}
