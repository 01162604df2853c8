//! The description of the API, generated from its handlers.

use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi as _;

use super::ConsoleState;
use super::auth::Operator;
use super::{
    accounts, announcement, audit, bans, dead_letters, findings, login, logout, oidc, orders,
    own_account, pictures, refunds, rounds, simulation, stock,
};
use crate::console::board::api;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Seckill console",
        description = "The API of the console's pages. Log in first; send the cookie, and with every \
                       writing request the header X-Seckill-Csrf with the token from the login's \
                       response. Refusals are JSON with `code` and `message`; `mistakes` lists the \
                       fields that were refused."
    ),
    paths(
        login::log_in,
        oidc::ways,
        oidc::begin,
        oidc::finish,
        logout::log_out,
        login::me,
        own_account::password,
        own_account::begin_factor,
        own_account::confirm_factor,
        own_account::end_factor,
        own_account::sessions,
        own_account::end_session,
        announcement::show,
        announcement::say,
        announcement::end,
        accounts::list,
        accounts::create,
        accounts::change,
        accounts::reset,
        rounds::list::list,
        rounds::list::show,
        rounds::basis::basis,
        rounds::edit::create,
        rounds::edit::check,
        rounds::edit::save,
        rounds::edit::remove,
        rounds::edit::copy,
        rounds::preview::preview,
        rounds::report::report,
        rounds::sale_files::import,
        rounds::sale_files::export,
        rounds::approval::submit,
        rounds::approval::withdraw,
        rounds::approval::approve,
        rounds::approval::reject,
        rounds::approval::publish,
        rounds::proposals::propose,
        rounds::proposals::list,
        rounds::proposals::show,
        rounds::proposals::approve,
        rounds::proposals::reject,
        rounds::proposals::withdraw,
        rounds::stop::pause,
        rounds::stop::resume,
        rounds::stop::end,
        rounds::stop::product,
        pictures::upload,
        audit::list,
        audit::export,
        findings::list,
        findings::confirm,
        findings::dismiss,
        findings::decide,
        simulation::show,
        simulation::begin,
        simulation::end,
        api::snapshot,
        api::stream,
        crate::console::board::past::history,
        bans::list,
        bans::add,
        bans::lift,
        dead_letters::list,
        dead_letters::redrive,
        dead_letters::redrive_all,
        refunds::list,
        orders::search,
        orders::export,
        orders::show,
        orders::act,
        stock::show,
        stock::adjust,
    ),
    components(schemas(super::error::FieldMistake))
)]
struct Api;

/// `GET /ops/api/openapi.json`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/openapi.json", get(document))
}

/// The OpenAPI document.
async fn document(_: Operator) -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}
