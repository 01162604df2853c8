//! A proposed change as the console shows it, and the refusals that it knows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Config;
use crate::console::ConsoleState;
use crate::console::error::{ConsoleError, FieldMistake};
use crate::console::rounds::conflicts::refuse_withdrawn;
use crate::console::rounds::form::{RoundForm, Rules};
use crate::console::rounds::problem::Problem;
use crate::console::rounds::revise;
use crate::now_ms;
use crate::store::Store;
use crate::store::difference::Difference;
use crate::store::proposals::{Proposal, ProposalState};
use crate::store::round::{RoundState, StoredRound};

/// A proposed change.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::console) struct ProposalView {
    /// Its number.
    id: u64,
    /// The round.
    round: String,
    /// The round's name.
    name: String,
    /// waiting, approved, rejected, withdrawn, outdated.
    state: &'static str,
    /// Every field that is to change, before and after.
    changes: Vec<Difference>,
    /// The titles of the products in `changes`, by id.
    titles: BTreeMap<String, String>,
    /// Whether the round has changed since, so that it cannot be approved any more.
    has_moved: bool,
    /// Why it was proposed.
    reason: String,
    /// Who proposed it.
    proposed_by: String,
    /// When, epoch milliseconds.
    proposed_ms: u64,
    /// Who decided.
    decided_by: Option<String>,
    /// When, epoch milliseconds.
    decided_ms: Option<u64>,
    /// Why it was rejected, or is outdated.
    decision: String,
    /// When it was carried out, epoch milliseconds.
    carried_ms: Option<u64>,
    /// What does not follow yet of its approval.
    #[serde(flatten)]
    pub(super) left: Problem,
}

/// What a change of a round that may have begun depends on.
pub(super) fn rules(config: &Config) -> Rules<'_> {
    Rules {
        now_ms: now_ms(),
        zone: &config.time_zone,
        currency: config.currency,
        may_have_begun: true,
    }
}

/// The round as it is to be.
pub(super) fn form_of(proposal: &Proposal) -> Result<RoundForm, ConsoleError> {
    serde_json::from_str(&proposal.form).map_err(|error| ConsoleError::internal(&error))
}

/// The proposal with the round as it is now.
pub(super) async fn view(
    state: &ConsoleState,
    store: &Store,
    proposal: Proposal,
) -> Result<ProposalView, ConsoleError> {
    let round = store.round(&proposal.round).await?;
    let has_moved = proposal.state == ProposalState::Waiting
        && stands(state, round.as_ref(), &proposal).is_err();
    let round = round.map(|stored| stored.round);
    let titles = round.iter().flat_map(|round| &round.products);
    let begins = |id: &str| {
        let named = |it: &Difference| it.field.split('.').next() == Some(id);
        proposal.changes.iter().any(named)
    };
    let titles = titles
        .filter(|product| begins(&product.id))
        .map(|product| (product.id.clone(), product.title.clone()))
        .collect();
    Ok(ProposalView {
        id: proposal.id,
        name: round.map(|round| round.name).unwrap_or_default(),
        round: proposal.round,
        state: proposal.state.as_str(),
        changes: proposal.changes,
        titles,
        has_moved,
        reason: proposal.reason,
        proposed_by: proposal.proposed_by,
        proposed_ms: proposal.proposed_ms,
        decided_by: proposal.decided_by,
        decided_ms: proposal.decided_ms,
        decision: proposal.decision,
        carried_ms: proposal.carried_ms,
        left: Problem::default(),
    })
}

/// Whether carrying the proposal out would do what was proposed, and nothing else.
///
/// # Errors
/// Why it would not.
pub(super) fn stands(
    state: &ConsoleState,
    round: Option<&StoredRound>,
    proposal: &Proposal,
) -> Result<(), ConsoleError> {
    let approved = round.filter(|round| round.state == RoundState::Approved);
    let round = approved.ok_or_else(|| outdated(proposal))?;
    let revised = revise::revised(round, &form_of(proposal)?, rules(&state.config));
    let revised = revised.map_err(|mistakes| not_possible(&mistakes))?;
    refuse_withdrawn(round, &revised.changes)?;
    match revised.is_as_proposed(&proposal.changes) {
        true => Ok(()),
        false => Err(outdated(proposal)),
    }
}

/// The round cannot become as proposed any more.
pub(super) fn not_possible(mistakes: &[FieldMistake]) -> ConsoleError {
    let said: Vec<&str> = mistakes.iter().map(|it| it.message.as_str()).collect();
    conflict(
        "not_possible",
        format!("Nothing was changed: {}", said.join(" ")),
    )
}

/// Somebody has decided it.
pub(super) fn decided(proposal: &Proposal) -> ConsoleError {
    let who = proposal.decided_by.as_deref().unwrap_or("Somebody");
    let message = match proposal.state {
        ProposalState::Waiting => "This change is being decided at this moment; try again.".into(),
        ProposalState::Outdated => format!("This change is outdated: {}", proposal.decision),
        state => format!(
            "{who} has {} this change already. There is nothing left to do.",
            state.as_str()
        ),
    };
    conflict("already_decided", message)
}

/// The round has changed since.
pub(super) fn outdated(proposal: &Proposal) -> ConsoleError {
    conflict(
        "outdated",
        format!(
            "Round {} has changed since this was proposed, so nothing was done. Look at it, and \
             propose the change again if it is still wanted.",
            proposal.round
        ),
    )
}

/// A change that the state does not allow.
pub(super) fn conflict(code: &'static str, message: String) -> ConsoleError {
    ConsoleError::Conflict {
        code,
        message,
        current: None,
    }
}
