//! Accounts of the console, managed by supervisors. Whoever is given a password here has to
//! choose another one at the first login.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seckill_core::ids;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auth::Supervisor;
use super::error::{ConsoleError, FieldMistake};
use super::json_body::JsonBody;
use super::{ConsoleState, Operator, passwords};
use crate::console::extract::Path;
use crate::now_ms;
use crate::store::accounts::{Account, AccountChange, Identity, Role};
use crate::store::identities::Linked;
use crate::store::{Actor, Done};

/// Random bytes of a password that is given: 120 bits.
const GIVEN: usize = 15;

/// Everything under `/ops/api/accounts`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/accounts", get(list).post(create))
        .route("/ops/api/accounts/{name}", axum::routing::put(change))
        .route("/ops/api/accounts/{name}/reset", post(reset))
}

/// An account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AccountView {
    /// The name to log in with.
    name: String,
    /// `operator` or `supervisor`.
    role: &'static str,
    /// Whether it may not log in.
    disabled: bool,
    /// Whether it has a second factor.
    factor: bool,
    /// Whether a new password has to be chosen at the next login.
    must_change: bool,
    /// Whether `seckill up --demo` created it.
    demo: bool,
    /// When it was created, epoch milliseconds.
    created_ms: u64,
    /// When password, role or state last changed, epoch milliseconds.
    changed_ms: u64,
    /// Its sessions at the moment.
    sessions: usize,
    /// The person who logs in with it by single sign-on.
    identity: Option<IdentityView>,
}

/// A person as an OpenID provider knows them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct IdentityView {
    /// The provider (`iss`).
    issuer: String,
    /// The person's id there (`sub`).
    subject: String,
}

/// A new account.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// The name to log in with.
    name: String,
    /// `operator` or `supervisor`.
    role: String,
}

/// What is to change of an account.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Another role.
    #[serde(default)]
    role: Option<String>,
    /// Whether it may not log in.
    #[serde(default)]
    disabled: Option<bool>,
    /// The id (`sub`) at the OpenID provider of the person who is to log in with it by
    /// single sign-on; empty for nobody.
    #[serde(default)]
    subject: Option<String>,
}

/// A password that was given to an account, shown once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Given {
    /// The account.
    name: String,
    /// Its password until the first login.
    password: String,
}

/// All accounts, by name.
#[utoipa::path(get, path = "/ops/api/accounts", tag = "accounts",
    responses((status = 200, body = Vec<AccountView>)))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Supervisor,
) -> Result<Json<Vec<AccountView>>, ConsoleError> {
    let mut views = Vec::new();
    for account in state.store.get().await?.accounts().await? {
        views.push(AccountView {
            sessions: state.sessions.list(&account.name).await?.len(),
            role: account.role.as_str(),
            disabled: account.is_disabled,
            factor: account.totp.is_some(),
            must_change: account.must_change,
            demo: account.is_demo,
            created_ms: account.created_ms,
            changed_ms: account.changed_ms,
            name: account.name,
            identity: account.identity.map(|it| IdentityView {
                subject: ids::user::name(&it.subject).into_owned(),
                issuer: it.issuer,
            }),
        });
    }
    Ok(Json(views))
}

/// Makes an account, and gives it a password for the first login.
#[utoipa::path(post, path = "/ops/api/accounts", tag = "accounts", request_body = NewAccount,
    responses((status = 201, body = Given), (status = 422, description = "A field is refused")))]
pub(super) async fn create(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    JsonBody(new): JsonBody<NewAccount>,
) -> Result<(StatusCode, Json<Given>), ConsoleError> {
    let name = new.name.trim();
    if !ids::is_account(name) {
        let right = "write 1 to 64 letters, digits or _ . @ + -, not only dots";
        let message = format!("\"{name}\" cannot be a name; {right}.");
        return Err(mistake("name", "account_name", message, name));
    }
    let role = role_of(&new.role)?;
    let (password, hash) = given()?;
    let done = Done {
        action: "account.create",
        target: name.to_owned(),
        detail: json!({ "role": role.as_str() }),
    };
    let by = Actor::at_console(&me.name);
    let store = state.store.get().await?;
    let added = store.make_account((name, role, &hash), (&by, &done), now_ms());
    if !added.await? {
        let message = format!("There is an account \"{name}\" already; choose another name.");
        return Err(mistake("name", "account_taken", message, name));
    }
    let name = name.to_owned();
    Ok((StatusCode::CREATED, Json(Given { name, password })))
}

/// Gives an account another role, disables or enables it, or links it to a person at the
/// OpenID provider. Its sessions end.
#[utoipa::path(put, path = "/ops/api/accounts/{name}", tag = "accounts", request_body = Change,
    responses((status = 200, description = "Changed"),
        (status = 403, description = "One's own account"),
        (status = 409, description = "There is no single sign-on, or the person has an account"),
        (status = 422, description = "A field is refused")))]
pub(super) async fn change(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<Change>,
) -> Result<Json<serde_json::Value>, ConsoleError> {
    let account = another(&state, &me, &name).await?;
    // What is so already is no change, and no line of the audit log.
    let role = change.role.as_deref().map(role_of).transpose()?;
    if let Some(role) = role.filter(|role| *role != account.role) {
        let detail = json!({ "role": [account.role.as_str(), role.as_str()] });
        carry_out(
            &state,
            &me,
            &name,
            AccountChange::Role(role),
            ("account.role", detail),
        )
        .await?;
    }
    if let Some(off) = change.disabled.filter(|off| *off != account.is_disabled) {
        let action = if off {
            "account.disable"
        } else {
            "account.enable"
        };
        let to = AccountChange::Disabled(off);
        carry_out(&state, &me, &name, to, (action, json!({}))).await?;
    }
    if let Some(subject) = &change.subject {
        link(&state, &me, &account, subject).await?;
    }
    Ok(Json(json!({})))
}

/// Gives an account a new password for its next login, and forgets its second factor.
#[utoipa::path(post, path = "/ops/api/accounts/{name}/reset", tag = "accounts",
    responses((status = 200, body = Given), (status = 403, description = "One's own account")))]
pub(super) async fn reset(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    Path(name): Path<String>,
) -> Result<Json<Given>, ConsoleError> {
    another(&state, &me, &name).await?;
    let (password, hash) = given()?;
    let to = AccountChange::Reset(&hash);
    carry_out(&state, &me, &name, to, ("account.reset", json!({}))).await?;
    Ok(Json(Given { name, password }))
}

/// Links an account to the person of this subject, or to nobody.
async fn link(
    state: &ConsoleState,
    me: &Operator,
    account: &Account,
    subject: &str,
) -> Result<(), ConsoleError> {
    let identity = match (subject.trim(), &state.config.console_oidc) {
        ("", _) => None,
        (_, None) => {
            let message = "This console has no single sign-on; set console_oidc_issuer first.";
            return Err(conflict("no_single_sign_on", message.to_owned()));
        }
        (subject, Some(settings)) => {
            let written = ids::user::write(subject.as_bytes()).ok_or_else(|| {
                let message = "A subject has 1 to 255 bytes; copy it from the provider.";
                mistake("subject", "subject_length", message.to_owned(), subject)
            })?;
            Some(Identity {
                issuer: settings.issuer.clone(),
                subject: written.into_owned(),
            })
        }
    };
    if identity == account.identity {
        return Ok(());
    }
    let subject_of = |it: &Option<Identity>| it.as_ref().map(|it| it.subject.clone());
    let change = [subject_of(&account.identity), subject_of(&identity)];
    let action = match identity {
        Some(_) => "account.link",
        None => "account.unlink",
    };
    let done = Done {
        action,
        target: account.name.clone(),
        detail: json!({ "subject": change }),
    };
    let by = Actor::at_console(&me.name);
    let store = state.store.get().await?;
    let linked = store.link_account(&account.name, identity.as_ref(), (&by, &done), now_ms());
    match linked.await? {
        Linked::Done => Ok(()),
        Linked::NoAccount => Err(no_account(&account.name)),
        Linked::Taken => Err(conflict(
            "subject_taken",
            "Another account is linked to this person. Unlink that one first.".to_owned(),
        )),
    }
}

fn conflict(code: &'static str, message: String) -> ConsoleError {
    ConsoleError::Conflict {
        code,
        message,
        current: None,
    }
}

fn no_account(name: &str) -> ConsoleError {
    ConsoleError::NotFound(format!("There is no account \"{name}\"."))
}

/// Somebody else's account: nobody locks themself out, or up.
async fn another(state: &ConsoleState, me: &Operator, name: &str) -> Result<Account, ConsoleError> {
    if me.name == name {
        let message = "This is your own account; another supervisor has to change it.";
        return Err(ConsoleError::Forbidden {
            code: "own_account",
            message: message.to_owned(),
        });
    }
    let found = state.store.get().await?.account(name).await?;
    found.ok_or_else(|| no_account(name))
}

async fn carry_out(
    state: &ConsoleState,
    me: &Operator,
    name: &str,
    change: AccountChange<'_>,
    (action, detail): (&'static str, serde_json::Value),
) -> Result<(), ConsoleError> {
    let done = Done {
        action,
        target: name.to_owned(),
        detail,
    };
    let by = Actor::at_console(&me.name);
    let store = state.store.get().await?;
    let changed = store.change_account(name, change, (&by, &done), now_ms());
    match changed.await? {
        true => Ok(()),
        false => Err(no_account(name)),
    }
}

fn role_of(text: &str) -> Result<Role, ConsoleError> {
    Role::parse(text).ok_or_else(|| {
        let message = format!("\"{text}\" is no role; write operator or supervisor.");
        mistake("role", "account_role", message, text)
    })
}

/// A random password, and its hashed form.
fn given() -> Result<(String, String), ConsoleError> {
    let mut bytes = [0_u8; GIVEN];
    getrandom::fill(&mut bytes).map_err(|error| ConsoleError::internal(&error))?;
    let password = URL_SAFE_NO_PAD.encode(bytes);
    let hash = passwords::hash_password(&password);
    let hash = hash.map_err(|error| ConsoleError::internal(&error))?;
    Ok((password, hash))
}

fn mistake(field: &str, code: &'static str, message: String, value: &str) -> ConsoleError {
    ConsoleError::Mistakes(vec![FieldMistake {
        field: field.to_owned(),
        code,
        message,
        values: vec![value.to_owned()],
        place: None,
    }])
}
