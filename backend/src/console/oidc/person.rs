//! Whose account it is when a provider vouches for a person, and with which role.
//!
//! A person is `iss` and `sub`, and nothing else: not a name and not an address, which
//! both can be given to somebody else.

use seckill_core::ids;
use seckill_core::signing::jwt::id_token::IdToken;
use serde_json::json;

use crate::config::oidc::{Oidc, RoleClaim};
use crate::console::error::ConsoleError;
use crate::console::sessions::digest;
use crate::console::{ConsoleState, passwords};
use crate::now_ms;
use crate::store::accounts::{Account, AccountChange, Identity, Role};
use crate::store::identities::FirstLogin;
use crate::store::{Actor, Done, Store};

/// The role that a provider gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    /// Roles are decided at the console.
    Undecided,
    /// The person has no role at the console.
    Missing,
    /// The person has this one.
    Is(Role),
}

/// What a login does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Enter,
    /// The account's role has changed at the provider.
    Change(Role),
    /// It is the first login of a person, and makes their account.
    Create(Role),
    RoleMissing,
    Unknown,
    Disabled,
}

fn claimed(roles: &RoleClaim, values: &[&str]) -> Claimed {
    let has_one_of = |named: &[String]| named.iter().any(|it| values.contains(&it.as_str()));
    if !roles.decides() {
        Claimed::Undecided
    } else if has_one_of(&roles.supervisors) {
        Claimed::Is(Role::Supervisor)
    } else if has_one_of(&roles.operators) {
        Claimed::Is(Role::Operator)
    } else {
        Claimed::Missing
    }
}

/// The account by its role and whether it is disabled, if there is one.
fn decide(account: Option<(Role, bool)>, claimed: Claimed, creates: bool) -> Verdict {
    match (account, claimed) {
        (Some((_, true)), _) => Verdict::Disabled,
        (_, Claimed::Missing) => Verdict::RoleMissing,
        (Some((has, _)), Claimed::Is(role)) if has != role => Verdict::Change(role),
        (Some(_), _) => Verdict::Enter,
        (None, Claimed::Is(role)) if creates => Verdict::Create(role),
        (None, _) => Verdict::Unknown,
    }
}

/// The account of the person whom this token names, with the role that it gives.
pub(super) async fn account(
    state: &ConsoleState,
    settings: &Oidc,
    token: &IdToken,
) -> Result<Account, ConsoleError> {
    let identity = Identity {
        issuer: settings.issuer.clone(),
        subject: token.subject.clone(),
    };
    let store = state.store.get().await?;
    let found = store.account_of(&identity).await?;
    let role = claimed(&settings.roles, &token.values(&settings.roles.claim));
    let has = found.as_ref().map(|it| (it.role, it.is_disabled));
    let subject = &identity.subject;
    match (decide(has, role, settings.creates), found) {
        (Verdict::Enter, Some(account)) => Ok(account),
        (Verdict::Change(role), Some(account)) => follow(store, &account, role).await,
        (Verdict::Create(role), _) => create(store, &identity, role, &names(token)).await,
        (Verdict::Disabled, _) => {
            tracing::warn!(subject, "a disabled account was refused at single sign-on");
            Err(ConsoleError::disabled())
        }
        (Verdict::RoleMissing, _) => {
            let claim = &settings.roles.claim;
            tracing::warn!(subject, claim, "single sign-on gives no role");
            Err(forbidden(
                "role_missing",
                "Your account at the login provider has no role at this console. Ask whoever \
                 manages accounts there.",
            ))
        }
        _ => {
            tracing::warn!(subject, "nobody at the console is linked to this subject");
            Err(forbidden(
                "account_unknown",
                "No account of this console is linked to you. Ask a supervisor to link one; the \
                 log of the ops role has your id (subject).",
            ))
        }
    }
}

fn forbidden(code: &'static str, message: &str) -> ConsoleError {
    ConsoleError::Forbidden {
        code,
        message: message.to_owned(),
    }
}

/// Gives an account the role that its person has now. Its sessions end.
async fn follow(store: &Store, account: &Account, role: Role) -> Result<Account, ConsoleError> {
    let done = Done {
        action: "account.role",
        target: account.name.clone(),
        detail: json!({ "role": [account.role.as_str(), role.as_str()], "by": "oidc" }),
    };
    let by = Actor::at_console(&account.name);
    let change = AccountChange::Role(role);
    store
        .change_account(&account.name, change, (&by, &done), now_ms())
        .await?;
    let changed = store.account(&account.name).await?;
    changed.ok_or(ConsoleError::LoginRequired)
}

async fn create(
    store: &Store,
    identity: &Identity,
    role: Role,
    names: &[String],
) -> Result<Account, ConsoleError> {
    for name in names {
        let done = Done {
            action: "account.create",
            target: name.clone(),
            detail: json!({ "role": role.as_str(), "by": "oidc", "issuer": identity.issuer,
                "subject": identity.subject }),
        };
        let first = FirstLogin {
            name,
            role,
            identity,
            password_hash: passwords::NOBODY,
        };
        let by = Actor::at_console(name);
        let added = store.admit(first, (&by, &done), now_ms()).await?;
        if added {
            tracing::info!(
                name,
                subject = identity.subject,
                "a first login made an account"
            );
        }
        // It may also be there by another tab of theirs; a name that somebody else has is
        // never theirs.
        match store.account_of(identity).await? {
            Some(account) if account.is_disabled => return Err(ConsoleError::disabled()),
            Some(account) => return Ok(account),
            None => {}
        }
    }
    Err(ConsoleError::internal(&"no name is free for a new account"))
}

/// What an account of this person may be called, best first.
fn names(token: &IdToken) -> Vec<String> {
    let said = [
        token.text("preferred_username"),
        token.verified_email(),
        token.text("sub"),
    ];
    let said = said.into_iter().flatten().filter(|it| ids::is_account(it));
    let mut names: Vec<String> = said.map(str::to_owned).collect();
    let whole = format!(
        "{}\n{}",
        token.text("iss").unwrap_or_default(),
        token.subject
    );
    names.push(format!("sso-{}", &digest(&whole)[..16]));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_of_two_roles_counts_and_none_is_no_role() {
        let list = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
        let roles = |supervisors: &[&str], operators: &[&str]| RoleClaim {
            claim: "groups".to_owned(),
            supervisors: list(supervisors),
            operators: list(operators),
        };
        let both = roles(&["boss"], &["ops", "night"]);
        assert_eq!(
            claimed(&both, &["night", "boss"]),
            Claimed::Is(Role::Supervisor)
        );
        assert_eq!(claimed(&both, &["x", "night"]), Claimed::Is(Role::Operator));
        assert_eq!(claimed(&both, &["Boss", "ops "]), Claimed::Missing);
        assert_eq!(claimed(&both, &[]), Claimed::Missing);
        assert_eq!(claimed(&roles(&[], &["ops"]), &["boss"]), Claimed::Missing);
        assert_eq!(claimed(&roles(&[], &[]), &["boss"]), Claimed::Undecided);
    }

    #[test]
    fn an_account_is_entered_made_or_refused() {
        use Claimed::{Is, Missing, Undecided};
        use Role::{Operator, Supervisor};
        let (on, off) = (Some((Operator, false)), Some((Operator, true)));
        for (account, claimed, creates, verdict) in [
            (on, Undecided, false, Verdict::Enter),
            (on, Is(Operator), false, Verdict::Enter),
            (on, Is(Supervisor), false, Verdict::Change(Supervisor)),
            (on, Missing, true, Verdict::RoleMissing),
            (off, Is(Supervisor), true, Verdict::Disabled),
            (off, Missing, true, Verdict::Disabled),
            (None, Is(Operator), true, Verdict::Create(Operator)),
            (None, Is(Operator), false, Verdict::Unknown),
            (None, Undecided, false, Verdict::Unknown),
            (None, Undecided, true, Verdict::Unknown),
            (None, Missing, true, Verdict::RoleMissing),
        ] {
            assert_eq!(
                decide(account, claimed, creates),
                verdict,
                "{account:?} {claimed:?}"
            );
        }
    }
}
