//! Changes of approved rounds that one person proposes and another decides on.
//!
//! What is approved is exactly what was shown: a proposal keeps the round as it is to be,
//! and every difference from the round as it was. If the round has changed meanwhile, so
//! that carrying it out would do anything else, it is outdated and nothing is done.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use seckill_core::ids::Item;
use seckill_core::sale::reasons;
use serde::{Deserialize, Serialize};

use super::conflicts::{alone, no_round, refuse_withdrawn};
use super::edit::refuse_kept;
use super::form::RoundForm;
use super::four_eyes::refuse_fresh;
use super::problem::Problem;
use super::{need_redis, revise, stored};
use crate::config::Config;
use crate::console::ConsoleState;
use crate::console::auth::{Operator, Supervisor};
use crate::console::error::ConsoleError;
use crate::console::extract::{Path, Query};
use crate::console::json_body::JsonBody;
use crate::now_ms;
use crate::sale;
use crate::store::accounts::Role;
use crate::store::difference::Difference;
use crate::store::proposals::{NewProposal, Proposal, ProposalState};
use crate::store::round::RoundState;
use crate::store::round_changes::ChangeError;
use crate::store::{Actor, Store};

/// Proposed changes as the console shows them.
mod view;

use view::{ProposalView, conflict, decided, form_of, not_possible, outdated, rules, stands, view};

/// Longest reason, in characters.
const MAX_REASON: usize = 500;
/// Proposals in one list.
const LISTED: u32 = 100;

/// Everything under `/ops/api/proposals`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/proposals", get(list).post(propose))
        .route("/ops/api/proposals/{id}", get(show))
        .route("/ops/api/proposals/{id}/approve", post(approve))
        .route("/ops/api/proposals/{id}/reject", post(reject))
        .route("/ops/api/proposals/{id}/withdraw", post(withdraw))
}

/// A change that is proposed: the whole round as it is to be, or one product's amount.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct ProposalForm {
    /// The approved round.
    round: String,
    /// The round as it is to be, as the editor sends it.
    #[serde(default)]
    form: Option<RoundForm>,
    /// The product, if there is an `amount` instead of a `form`.
    #[serde(default)]
    product: Option<String>,
    /// Its new total of items.
    #[serde(default)]
    amount: Option<u64>,
    /// Why, for the supervisor who decides.
    #[serde(default)]
    reason: String,
}

/// The reason of a decision.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::console) struct Decision {
    /// Why, for the person who proposed the change.
    reason: String,
}

/// A list of proposed changes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::console) struct ProposalList {
    /// The proposals, newest first, at most a hundred.
    proposals: Vec<ProposalView>,
    /// How many there are in all.
    total: u64,
}

/// Which proposals to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(in crate::console) struct ProposalQuery {
    /// A state; left out for all.
    state: String,
    /// A round; left out for all.
    round: String,
}

/// Proposes a change of an approved round, for a second person to decide on.
#[utoipa::path(post, path = "/ops/api/proposals", tag = "approval", request_body = ProposalForm,
    responses(
        (status = 201, body = ProposalView),
        (status = 422, description = "Fields that are refused, each with its mistake"),
    ))]
pub(in crate::console) async fn propose(
    State(state): State<ConsoleState>,
    me: Operator,
    JsonBody(sent): JsonBody<ProposalForm>,
) -> Result<(StatusCode, Json<ProposalView>), ConsoleError> {
    let store = state.store.get().await?;
    let config = &state.config;
    let by = Actor::at_console(&me.name);
    let reason = sent.reason.as_str();
    let id = match (sent.form, sent.product, sent.amount) {
        (Some(form), None, None) => {
            record(store, config, (&sent.round, &form), reason, &by).await?
        }
        (None, Some(product), Some(amount)) => {
            let item = Item::new(&sent.round, &product).ok_or_else(|| no_round(&sent.round))?;
            propose_amount(store, config, (&item, amount), reason, &by).await?
        }
        _ => {
            let right = "send \"form\", or \"product\" and \"amount\"";
            return Err(ConsoleError::BadRequest(format!(
                "The change is missing or given twice; {right}."
            )));
        }
    };
    let proposal = known(store, id).await?;
    Ok((
        StatusCode::CREATED,
        Json(view(&state, store, proposal).await?),
    ))
}

/// Proposes another amount for a product; returns the number of the proposal.
///
/// # Errors
/// There is no such product, its round is over, or the amount is out of range.
pub async fn propose_amount(
    store: &Store,
    config: &Config,
    (item, amount): (&Item, u64),
    reason: &str,
    by: &Actor,
) -> Result<u64, ConsoleError> {
    let round = stored(store, item.round()).await?.in_force();
    let mut form = RoundForm::of(&round);
    let product = form.products.iter_mut().find(|it| it.id == item.product());
    let product = product.ok_or_else(|| {
        let known: Vec<&str> = round.products.iter().map(|it| it.id.as_str()).collect();
        let known = known.join(", ");
        ConsoleError::NotFound(format!(
            "Round {} has no product {}; there are {known}.",
            item.round(),
            item.product()
        ))
    })?;
    product.amount = amount.into();
    record(store, config, (item.round(), &form), reason, by).await
}

async fn record(
    store: &Store,
    config: &Config,
    (id, form): (&str, &RoundForm),
    reason: &str,
    by: &Actor,
) -> Result<u64, ConsoleError> {
    let reason = checked_reason(reason, 0)?;
    let before = stored(store, id).await?;
    if before.state != RoundState::Approved {
        let message = format!("Round {id} is not approved yet; edit it instead.");
        return Err(conflict("not_approved", message));
    }
    refuse_kept(form, &before)?;
    let revised = revise::revised(&before, form, rules(config)).map_err(ConsoleError::Mistakes)?;
    if revised.changes.is_empty() {
        let message = format!("Nothing of round {id} would change; it is like this already.");
        return Err(ConsoleError::BadRequest(message));
    }
    refuse_withdrawn(&before, &revised.changes)?;
    let seen = before.trail.version;
    match store.check_revision(&revised.round, seen).await {
        Ok(()) => {}
        Err(ChangeError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let message = format!("Nothing was proposed: {error}.");
            return Err(conflict("not_possible", message));
        }
    }
    let kept = RoundForm {
        version: None,
        ..form.clone()
    };
    let text = serde_json::to_string(&kept).map_err(|error| ConsoleError::internal(&error))?;
    let new = NewProposal {
        round: id,
        form: &text,
        changes: &revised.changes,
        reason,
    };
    Ok(store.propose(new, by, now_ms()).await?)
}

/// Proposed changes, newest first.
#[utoipa::path(get, path = "/ops/api/proposals", tag = "approval", params(ProposalQuery),
    responses((status = 200, body = ProposalList)))]
pub(in crate::console) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<ProposalQuery>,
) -> Result<Json<ProposalList>, ConsoleError> {
    let wanted = match query.state.as_str() {
        "" => None,
        text => Some(ProposalState::parse(text).ok_or_else(|| {
            ConsoleError::BadRequest(format!(
                "\"{text}\" is no state of a proposal; write waiting, approved, rejected, \
                 withdrawn or outdated."
            ))
        })?),
    };
    let store = state.store.get().await?;
    let (found, total) = store.proposals(wanted, &query.round, LISTED).await?;
    let mut proposals = Vec::with_capacity(found.len());
    for proposal in found {
        proposals.push(view(&state, store, proposal).await?);
    }
    Ok(Json(ProposalList { proposals, total }))
}

/// One proposed change.
#[utoipa::path(get, path = "/ops/api/proposals/{id}", tag = "approval",
    responses((status = 200, body = ProposalView)))]
pub(in crate::console) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
    Path(id): Path<u64>,
) -> Result<Json<ProposalView>, ConsoleError> {
    let store = state.store.get().await?;
    let proposal = known(store, id).await?;
    Ok(Json(view(&state, store, proposal).await?))
}

/// Approves a change that somebody else proposed, and carries it out.
#[utoipa::path(post, path = "/ops/api/proposals/{id}/approve", tag = "approval",
    responses(
        (status = 200, body = ProposalView),
        (status = 403, description = "The supervisor's own proposal, or no supervisor"),
        (status = 409, description = "It is decided, or the round has changed since; or it cannot \
         be carried out now, and waits"),
    ))]
pub(in crate::console) async fn approve(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    Path(id): Path<u64>,
) -> Result<Json<ProposalView>, ConsoleError> {
    let store = state.store.get().await?;
    let proposal = known(store, id).await?;
    if proposal.proposed_by == me.name {
        let message = "You proposed this change yourself, so another supervisor has to approve it.";
        return Err(ConsoleError::Forbidden {
            code: "own_proposal",
            message: message.to_owned(),
        });
    }
    refuse_fresh(store, &me, &proposal.round).await?;
    need_redis(&state).await?;
    // Before it is decided: it waits until this process knows its site.
    if proposal.changes.iter().any(Difference::raises_an_amount) {
        let refused = sale::alone::refuse(state.config.site.as_ref(), &state.redis).await;
        refused.map_err(alone)?;
    }
    let by = Actor::at_console(&me.name);
    if proposal.state == ProposalState::Waiting {
        let round = store.round(&proposal.round).await?;
        if let Err(error) = stands(&state, round.as_ref(), &proposal) {
            // Nobody approves what cannot be carried out.
            let (outdated, why) = (ProposalState::Outdated, error.to_string());
            let noted = store.decide_proposal(&proposal, outdated, &why, &by, now_ms());
            return Err(match noted.await? {
                true => error,
                false => decided(&known(store, id).await?),
            });
        }
    }
    let approved = ProposalState::Approved;
    if !store
        .decide_proposal(&proposal, approved, "", &by, now_ms())
        .await?
    {
        return Err(decided(&known(store, id).await?));
    }
    let left = match carry_out(&state, store, &proposal, &by).await {
        Ok(left) => left,
        Err(error) => {
            let (now, why) = (
                after_refusal(&state, store, &proposal).await,
                error.to_string(),
            );
            let noted = store.proposal_not_carried_out(&proposal, now, &why, &by, now_ms());
            noted.await?;
            return Err(error);
        }
    };
    store.proposal_carried_out(id, now_ms()).await?;
    let mut view = view(&state, store, known(store, id).await?).await?;
    view.left = left;
    Ok(Json(view))
}

/// What becomes of a proposal that was approved and could not be carried out. It waits as
/// long as its round is what it was proposed for: what was in the way, such as a full zone
/// or items that were moving, may be gone a minute later.
async fn after_refusal(state: &ConsoleState, store: &Store, proposal: &Proposal) -> ProposalState {
    match store.round(&proposal.round).await {
        Ok(round) if stands(state, round.as_ref(), proposal).is_err() => ProposalState::Outdated,
        _ => ProposalState::Waiting,
    }
}

async fn carry_out(
    state: &ConsoleState,
    store: &Store,
    proposal: &Proposal,
    by: &Actor,
) -> Result<Problem, ConsoleError> {
    let form = form_of(proposal)?;
    loop {
        let before = stored(store, &proposal.round).await?;
        if before.state != RoundState::Approved {
            return Err(outdated(proposal));
        }
        match revise::save(state, &before, &form, by, Some(proposal)).await {
            Err(ConsoleError::SecondPerson(_)) => return Err(outdated(proposal)),
            // Somebody paused or edited it between reading and saving.
            Err(ConsoleError::Conflict { .. })
                if store.round_version(&proposal.round).await? != Some(before.trail.version) => {}
            Err(ConsoleError::Mistakes(mistakes)) => return Err(not_possible(&mistakes)),
            outcome => return outcome,
        }
    }
}

/// Rejects a proposed change, with a reason.
#[utoipa::path(post, path = "/ops/api/proposals/{id}/reject", tag = "approval",
    request_body = Decision, responses((status = 200, body = ProposalView)))]
pub(in crate::console) async fn reject(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    Path(id): Path<u64>,
    JsonBody(decision): JsonBody<Decision>,
) -> Result<Json<ProposalView>, ConsoleError> {
    let reason = checked_reason(&decision.reason, 1)?;
    end(&state, &me, id, (ProposalState::Rejected, reason)).await
}

/// Withdraws a proposed change: whoever proposed it, or a supervisor.
#[utoipa::path(post, path = "/ops/api/proposals/{id}/withdraw", tag = "approval",
    responses((status = 200, body = ProposalView)))]
pub(in crate::console) async fn withdraw(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<u64>,
) -> Result<Json<ProposalView>, ConsoleError> {
    let proposal = known(state.store.get().await?, id).await?;
    if proposal.proposed_by != me.name && me.role != Role::Supervisor {
        return Err(ConsoleError::SupervisorOnly);
    }
    end(&state, &me, id, (ProposalState::Withdrawn, "")).await
}

async fn end(
    state: &ConsoleState,
    me: &Operator,
    id: u64,
    (to, reason): (ProposalState, &str),
) -> Result<Json<ProposalView>, ConsoleError> {
    let store = state.store.get().await?;
    let proposal = known(store, id).await?;
    let by = Actor::at_console(&me.name);
    if !store
        .decide_proposal(&proposal, to, reason, &by, now_ms())
        .await?
    {
        return Err(decided(&known(store, id).await?));
    }
    Ok(Json(view(state, store, known(store, id).await?).await?))
}

async fn known(store: &Store, id: u64) -> Result<Proposal, ConsoleError> {
    let found = store.proposal(id).await?;
    found.ok_or_else(|| {
        ConsoleError::NotFound(format!(
            "There is no proposed change {id}; GET /ops/api/proposals lists them."
        ))
    })
}

fn checked_reason(reason: &str, least: usize) -> Result<&str, ConsoleError> {
    Ok(reasons::check("reason", reason, (least, MAX_REASON))?)
}
