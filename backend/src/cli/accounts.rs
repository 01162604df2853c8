//! `seckill accounts`: who may log in at the console.

use std::io::{BufRead as _, IsTerminal as _};

use crate::config::Config;
use crate::console::passwords::{MOST_PASSWORD, hash_password};
use crate::store::accounts::{Account, AccountChange, Identity, Role};
use crate::store::identities::Linked;
use crate::store::{Actor, Done};
use crate::time::rfc3339;
use anyhow::Context as _;
use clap::Subcommand;
use seckill_core::ids;
use serde_json::{Value, json};

use super::audited::stored;
use super::texts::MARK;
use super::{open_or_make_store, open_store, say};

#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// Add an account; its password is typed at a prompt, or read from standard input
    Add {
        /// The name to log in with: letters, digits, _ . @ + -
        name: String,
        /// operator (makes rounds) or supervisor (approves what others made)
        #[arg(long, value_name = "ROLE", value_parser = account_role)]
        role: Role,
    },
    /// Show the accounts
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove an account; its sessions end within seconds
    Remove {
        /// Its name
        name: String,
    },
    /// Give an account a new password, which ends its sessions
    Password {
        /// Its name
        name: String,
    },
    /// Forget the second factor of an account, whose owner has lost it
    ForgetFactor {
        /// Its name
        name: String,
    },
    /// Link an account to a person at the console's OpenID provider, who then logs in by
    /// single sign-on
    Link {
        /// Its name
        name: String,
        /// The person's id at the provider: the claim "sub" of their tokens
        subject: String,
    },
    /// Link an account to nobody
    Unlink {
        /// Its name
        name: String,
    },
    /// Disable an account, or enable it again
    Disable {
        /// Its name
        name: String,
        /// Enable it again
        #[arg(long)]
        undo: bool,
    },
}

fn account_role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "write operator or supervisor".to_owned())
}

/// Runs one of the commands.
///
/// # Errors
/// A name or password that cannot be one, an account that is or is not there, or
/// the database.
pub(crate) async fn run(config: &Config, command: AccountsCommand) -> anyhow::Result<()> {
    match command {
        AccountsCommand::Add { name, role } => add(config, &name, role).await,
        AccountsCommand::List { json } => list(config, json).await,
        AccountsCommand::Remove { name } => remove(config, &name).await,
        AccountsCommand::Password { name } => password(config, &name).await,
        AccountsCommand::ForgetFactor { name } => {
            let done = ("account.factor_off", "has no second factor");
            change(config, &name, AccountChange::Factor(""), done).await
        }
        AccountsCommand::Link { name, subject } => link(config, &name, Some(&subject)).await,
        AccountsCommand::Unlink { name } => link(config, &name, None).await,
        AccountsCommand::Disable { name, undo } => {
            let done = match undo {
                true => ("account.enable", "may log in"),
                false => ("account.disable", "may not log in"),
            };
            change(config, &name, AccountChange::Disabled(!undo), done).await
        }
    }
}

async fn add(config: &Config, name: &str, role: Role) -> anyhow::Result<()> {
    if !ids::is_account(name) {
        anyhow::bail!(
            "\"{name}\" cannot be a name; write 1 to 64 letters, digits or _ . @ + -, not only dots"
        );
    }
    // An address that somebody wrote is no wrong folder: accounts may come before the
    // first start.
    let store = match config.has_own_database() {
        true => open_store(config).await?,
        false => open_or_make_store(config).await?,
    };
    // Before somebody types a password in vain.
    let is_new = store.account(name).await?.is_none();
    if is_new {
        let hash = hash_password(&ask_password(name)?)?;
        let done = done("account.create", name, json!({ "role": role.as_str() }));
        let detail = done.detail.clone();
        let add = store.add_account(name, role, &hash, false, crate::now_ms());
        let add = async { add.await.map(|added| (added, added.then_some(detail))) };
        if stored(&store, done, add).await? {
            store.close().await;
            return say(&format!("Added {name}, {}.\n", role.as_str()));
        }
    }
    anyhow::bail!(
        "there is an account \"{name}\" already; change its password with \"seckill accounts \
         password {name}\", or remove it first"
    )
}

async fn remove(config: &Config, name: &str) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let remove = store.remove_account(name);
    let remove = async {
        remove
            .await
            .map(|removed| (removed, removed.then(|| json!({}))))
    };
    if !stored(&store, done("account.remove", name, json!({})), remove).await? {
        return Err(no_account(name, &store.accounts().await?));
    }
    store.close().await;
    say(&format!(
        "Removed {name}; its sessions end within seconds.\n"
    ))
}

async fn password(config: &Config, name: &str) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    if store.account(name).await?.is_none() {
        return Err(no_account(name, &store.accounts().await?));
    }
    let hash = hash_password(&ask_password(name)?)?;
    let set = store.set_password(name, &hash, crate::now_ms());
    let set = async { set.await.map(|set| (set, set.then(|| json!({})))) };
    if !stored(&store, done("account.password", name, json!({})), set).await? {
        return Err(no_account(name, &store.accounts().await?));
    }
    store.close().await;
    say(&format!(
        "{name} has a new password, and has to log in again.\n"
    ))
}

async fn change(
    config: &Config,
    name: &str,
    change: AccountChange<'_>,
    (action, outcome): (&'static str, &str),
) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let Some(account) = store.account(name).await? else {
        return Err(no_account(name, &store.accounts().await?));
    };
    // What is so already is no change, and no line of the audit log.
    let is_so = match change {
        AccountChange::Disabled(off) => account.is_disabled == off,
        AccountChange::Factor(secret) => account.totp.as_deref().unwrap_or_default() == secret,
        _ => false,
    };
    if !is_so {
        let (by, done) = (Actor::on_the_box(), done(action, name, json!({})));
        let changed = store.change_account(name, change, (&by, &done), crate::now_ms());
        if !changed.await? {
            return Err(no_account(name, &store.accounts().await?));
        }
    }
    store.close().await;
    let since = if is_so { ", as before" } else { " now" };
    say(&format!("{name} {outcome}{since}.\n"))
}

fn done(action: &'static str, name: &str, detail: Value) -> Done {
    Done {
        action,
        target: name.to_owned(),
        detail,
    }
}

async fn link(config: &Config, name: &str, subject: Option<&str>) -> anyhow::Result<()> {
    let identity = match subject {
        None => None,
        Some(subject) => {
            let settings = config.console_oidc.as_ref().context(
                "the console has no single sign-on; set console_oidc_issuer and \
                 console_oidc_client_id first",
            )?;
            let written = ids::user::write(subject.as_bytes());
            Some(Identity {
                issuer: settings.issuer.clone(),
                subject: written
                    .context("a subject has 1 to 255 bytes; copy it from the provider")?
                    .into_owned(),
            })
        }
    };
    let store = open_store(config).await?;
    let Some(account) = store.account(name).await? else {
        return Err(no_account(name, &store.accounts().await?));
    };
    let subject_of = |it: &Option<Identity>| it.as_ref().map(|it| it.subject.clone());
    let (action, outcome) = match &identity {
        Some(_) => ("account.link", "logs in by single sign-on"),
        None => ("account.unlink", "is linked to nobody"),
    };
    if identity == account.identity {
        store.close().await;
        return say(&format!("{name} {outcome}, as before.\n"));
    }
    let subjects = [subject_of(&account.identity), subject_of(&identity)];
    let done = done(action, name, json!({ "subject": subjects }));
    let by = Actor::on_the_box();
    let linked = store.link_account(name, identity.as_ref(), (&by, &done), crate::now_ms());
    match linked.await? {
        Linked::Done => {}
        Linked::NoAccount => return Err(no_account(name, &store.accounts().await?)),
        Linked::Taken => anyhow::bail!(
            "another account is linked to this person; \"seckill accounts list --json\" shows \
             which, and \"seckill accounts unlink\" frees it"
        ),
    }
    store.close().await;
    say(&format!("{name} {outcome} now.\n"))
}

fn no_account(name: &str, accounts: &[Account]) -> anyhow::Error {
    let names: Vec<&str> = accounts.iter().map(|it| it.name.as_str()).collect();
    match names.as_slice() {
        [] => anyhow::anyhow!(
            "there is no account \"{name}\"; add one with \"seckill accounts add {name} --role \
             operator\""
        ),
        names => anyhow::anyhow!(
            "there is no account \"{name}\"; there are {}",
            names.join(", ")
        ),
    }
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let accounts = store.accounts().await?;
    store.close().await;
    if json {
        let shown: Vec<_> = accounts.iter().map(account_json).collect();
        return say(&format!("{}\n", json!({ "accounts": shown })));
    }
    if accounts.is_empty() {
        return say(
            "There is no account; add one with \"seckill accounts add NAME --role supervisor\".\n",
        );
    }
    for account in &accounts {
        let notes = [
            (account.is_demo, "demo"),
            (account.is_disabled, "disabled"),
            (account.totp.is_some(), "second factor"),
            (account.must_change, "has to choose a password"),
            (account.identity.is_some(), "single sign-on"),
        ];
        let notes: Vec<&str> = notes
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, it)| *it)
            .collect();
        let note = match notes.as_slice() {
            [] => String::new(),
            notes => format!("  ({})", notes.join(", ")),
        };
        say(&format!(
            "{:<24}  {:<10}  since {}{note}\n",
            account.name,
            account.role.as_str(),
            rfc3339(account.created_ms),
        ))?;
    }
    Ok(())
}

fn account_json(account: &Account) -> Value {
    json!({
        "name": account.name,
        "role": account.role.as_str(),
        "demo": account.is_demo,
        "disabled": account.is_disabled,
        "factor": account.totp.is_some(),
        "issuer": account.identity.as_ref().map(|it| &it.issuer),
        "subject": account.identity.as_ref().map(|it| ids::user::name(&it.subject)),
        "created_ms": account.created_ms,
        "changed_ms": account.changed_ms,
    })
}

/// The password, never from the command line, which every process of the machine
/// can read: typed twice at a prompt, or the first line of standard input.
fn ask_password(name: &str) -> anyhow::Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let mut line = String::new();
        let most = u64::try_from(MARK.len_utf8() + MOST_PASSWORD + 2).unwrap_or(u64::MAX);
        let mut input = std::io::Read::take(input.lock(), most);
        input
            .read_line(&mut line)
            .context("the password cannot be read from standard input")?;
        let line = line.strip_prefix(MARK).unwrap_or(&line);
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let failed = "the password cannot be read from this terminal";
    let first = rpassword::prompt_password(format!("Password of {name}: ")).context(failed)?;
    let again = rpassword::prompt_password("The same again: ").context(failed)?;
    if first != again {
        anyhow::bail!("the two are not the same; nothing was changed, try again");
    }
    Ok(first)
}
