//! The description of the API, generated from its handlers.

use axum::Json;
use utoipa::OpenApi as _;

use super::operator::Operator;
use super::{audit, bans, dead_letters, findings, login, pictures, rounds, simulation, stock};
use crate::console::board::api;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Seckill console",
        description = "What the console's pages use. Log in first; send the cookie, and with every \
                       request that writes the header X-Seckill-Csrf with the token that the login \
                       gave. Refusals are JSON with `code` and `message`; `mistakes` names fields."
    ),
    paths(
        login::log_in,
        login::log_out,
        login::me,
        rounds::list,
        rounds::show,
        rounds::create,
        rounds::check,
        rounds::save,
        rounds::remove,
        rounds::copy,
        rounds::preview::preview,
        rounds::files::import,
        rounds::files::export,
        rounds::steps::submit,
        rounds::steps::withdraw,
        rounds::steps::approve,
        rounds::steps::reject,
        rounds::steps::publish,
        pictures::upload,
        audit::list,
        findings::list,
        findings::confirm,
        findings::dismiss,
        simulation::show,
        simulation::begin,
        simulation::end,
        api::snapshot,
        api::stream,
        bans::list,
        bans::add,
        bans::lift,
        dead_letters::list,
        dead_letters::redrive,
        dead_letters::redrive_all,
        dead_letters::refunds,
        stock::show,
        stock::adjust,
    ),
    components(schemas(super::error::FieldMistake))
)]
struct Api;

/// The OpenAPI document.
pub(super) async fn document(_: Operator) -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}
