//! The demo's accounts at the console: random passwords, new with every start, so
//! that no copy of this program has one that others know.

use super::UpError;
use crate::console::passwords::hash_password;
use crate::now_ms;
use crate::store::Store;
use crate::store::accounts::Role;

/// Their names. Two supervisors, so that each can approve what the other made.
const DEMO: [(&str, Role); 3] = [
    ("operator", Role::Operator),
    ("supervisor", Role::Supervisor),
    ("supervisor2", Role::Supervisor),
];
/// Letters that cannot be taken for one another when they are typed over.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters of a password, 5 bits each.
const LENGTH: usize = 20;

/// The accounts with which one can log in at the console.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Name and password of each demo account.
    pub(super) demo: Vec<(&'static str, String)>,
    /// There is no account at all.
    pub(super) none: bool,
}

/// Makes the demo accounts with new passwords, or removes those of an earlier
/// demo. An account of the same name that a person made stays as it is.
pub(super) async fn prepare(store: &Store, demo: bool) -> Result<Logins, UpError> {
    let failed = |error: &dyn std::fmt::Display| UpError::Sale(error.to_string());
    store
        .remove_demo_accounts()
        .await
        .map_err(|error| failed(&error))?;
    let mut logins = Logins::default();
    for (name, role) in DEMO.into_iter().filter(|_| demo) {
        let password = random_password().map_err(|error| failed(&error))?;
        let hash = hash_password(&password).map_err(|error| failed(&error))?;
        let added = store.add_account(name, role, &hash, true, now_ms()).await;
        if added.map_err(|error| failed(&error))? {
            logins.demo.push((name, password));
        }
    }
    let accounts = store.accounts().await.map_err(|error| failed(&error))?;
    logins.none = accounts.is_empty();
    Ok(logins)
}

fn random_password() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; LENGTH];
    getrandom::fill(&mut bytes)?;
    let letters = bytes
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)));
    Ok(letters
        .enumerate()
        .flat_map(|(at, letter)| {
            let gap = (at > 0 && at % 5 == 0).then_some('-');
            gap.into_iter().chain([char::from(*letter)])
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_easy_to_type_and_never_the_same() {
        let (one, other) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(one.len(), LENGTH + 3, "{one}");
        assert_eq!(one.split('-').count(), 4, "{one}");
        assert_ne!(one, other);
    }
}
