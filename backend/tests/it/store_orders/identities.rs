//! Accounts that are linked to persons at an OpenID provider.

use seckill::store::accounts::{Identity, Role};
use seckill::store::identities::{FirstLogin, Linked};
use seckill::store::{Actor, Done, Store};
use seckill_core::ids;

fn done(action: &'static str, target: &str) -> Done {
    Done {
        action,
        target: target.to_owned(),
        detail: serde_json::json!({}),
    }
}

async fn link(store: &Store, name: &str, identity: Option<&Identity>) -> Linked {
    let (by, done) = (Actor::on_the_box(), done("account.link", name));
    let linked = store.link_account(name, identity, (&by, &done), 1).await;
    linked.unwrap()
}

async fn admit(store: &Store, name: &str, identity: &Identity) -> bool {
    let (by, done) = (Actor::at_console(name), done("account.create", name));
    let first = FirstLogin {
        name,
        role: Role::Operator,
        identity,
        password_hash: "x",
    };
    store.admit(first, (&by, &done), 1).await.unwrap()
}

async fn owner(store: &Store, identity: &Identity) -> Option<String> {
    let account = store.account_of(identity).await.unwrap()?;
    assert_eq!(account.identity.as_ref(), Some(identity));
    Some(account.name)
}

pub async fn a_person_has_one_account_and_a_subject_counts_letter_by_letter(store: Store) {
    let person = |issuer: &str, subject: &str| Identity {
        issuer: issuer.to_owned(),
        subject: ids::user::write(subject.as_bytes()).unwrap().into_owned(),
    };
    let (here, there) = ("https://id.example.com", "https://id.example.com/");
    // As long as a subject may be, and written as long as that gets.
    let long = "|".repeat(255);
    let li = person(here, "li");
    let others = [
        person(here, "Li"),
        person(here, "li "),
        person(there, "li"),
        person(here, &long),
        person(here, &long[..254]),
    ];
    // Any number of accounts are linked to nobody.
    for name in ["one", "two", "three"] {
        let added = store.add_account(name, Role::Operator, "x", false, 1).await;
        assert!(added.unwrap());
    }
    assert_eq!(owner(&store, &li).await, None);
    assert_eq!(link(&store, "one", Some(&li)).await, Linked::Done);
    assert_eq!(link(&store, "two", Some(&li)).await, Linked::Taken);
    assert_eq!(link(&store, "nobody", Some(&li)).await, Linked::NoAccount);
    assert_eq!(owner(&store, &li).await.as_deref(), Some("one"));
    for (at, other) in others.iter().enumerate() {
        assert_eq!(owner(&store, other).await, None, "{other:?}");
        let name = format!("other{at}");
        assert!(admit(&store, &name, other).await, "{other:?}");
        assert_eq!(owner(&store, other).await, Some(name));
    }
    assert!(
        !admit(&store, "four", &li).await,
        "the person has an account"
    );
    let new = person(here, "new");
    assert!(!admit(&store, "two", &new).await, "the name is in use");
    assert_eq!(owner(&store, &new).await, None);
    // Freed, the person may be linked to another.
    assert_eq!(link(&store, "one", None).await, Linked::Done);
    assert_eq!(owner(&store, &li).await, None);
    assert_eq!(link(&store, "two", Some(&li)).await, Linked::Done);
    assert_eq!(owner(&store, &li).await.as_deref(), Some("two"));
}
