//! Which key of a set verifies a token, and which keys a set takes.

use super::*;

#[test]
fn a_key_verifies_by_its_own_algorithm_only() {
    let ((rsa, sign_rsa), (ec, _)) = (rsa(), ec());
    let keys = set(&[rsa, ec]);
    let text = token(
        &json!({ "alg": "ES256", "kid": "e1" }),
        &claims(),
        &sign_rsa,
    );
    let refusal = user_of(&text, &keys, &Policy::default(), NOW_MS);
    assert_eq!(refusal, Err(Refusal::Signature));
    let text = token(
        &json!({ "alg": "ES256", "kid": "r1" }),
        &claims(),
        &sign_rsa,
    );
    let refusal = user_of(&text, &keys, &Policy::default(), NOW_MS);
    assert_eq!(refusal, Err(Refusal::UnknownKey));
}

#[test]
fn keys_rotate_without_a_refusal() {
    let ((before, sign_before), (after, sign_after)) = (ed(), ed());
    let (mut before, mut after) = (before, after);
    (before["kid"], after["kid"]) = (json!("may"), json!("june"));
    let old = token(
        &json!({ "alg": "EdDSA", "kid": "may" }),
        &claims(),
        &sign_before,
    );
    let new = token(
        &json!({ "alg": "EdDSA", "kid": "june" }),
        &claims(),
        &sign_after,
    );
    let judge = |keys: &KeySet, text: &str| user_of(text, keys, &Policy::default(), NOW_MS).is_ok();
    let both = set(&[before.clone(), after.clone()]);
    assert!(judge(&both, &old) && judge(&both, &new));
    let only_old = set(&[before]);
    let unknown = user_of(&new, &only_old, &Policy::default(), NOW_MS);
    assert_eq!(unknown, Err(Refusal::UnknownKey));
    let only_new = set(&[after]);
    assert!(judge(&only_new, &new) && !judge(&only_new, &old));
}

#[test]
fn keys_and_tokens_without_an_id_find_each_other() {
    let (mut jwk, sign) = ec();
    let anonymous = token(&json!({ "alg": "ES256" }), &claims(), &sign);
    assert!(user_of(&anonymous, &set(&[jwk.clone()]), &Policy::default(), NOW_MS).is_ok());
    jwk.as_object_mut().unwrap().remove("kid");
    let named = token(&json!({ "alg": "ES256", "kid": "x" }), &claims(), &sign);
    for text in [anonymous, named] {
        assert!(user_of(&text, &set(&[jwk.clone()]), &Policy::default(), NOW_MS).is_ok());
    }
}

#[test]
fn a_key_set_takes_the_keys_that_it_can_use() {
    let (jwk, _) = ed();
    let others = [
        json!({ "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB" }),
        json!({ "kty": "oct", "k": encode(b"short") }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }),
        json!("no key"),
        json!({}),
    ];
    assert_eq!(set(&[others.to_vec(), vec![jwk]].concat()).len(), 1);
    let none = json!({ "keys": others }).to_string();
    assert_eq!(
        KeySet::parse(none.as_bytes()).unwrap_err(),
        KeySetError::Empty
    );
    for text in ["", "[]", "{}", "<html>", r#"{"keys":{}}"#] {
        let error = KeySet::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, KeySetError::Shape(_)), "{text}");
    }
    let long = vec![b' '; keys::MAX_SET + 1];
    assert_eq!(KeySet::parse(&long).unwrap_err(), KeySetError::TooLong);
}

/// A provider may publish one id twice, while it rotates or for two algorithms.
#[test]
fn of_keys_with_one_id_each_verifies_its_own_tokens() {
    let ((mut first, sign_first), (mut second, sign_second)) = (ed(), ed());
    let (mut other, sign_other) = ec();
    for key in [&mut first, &mut second, &mut other] {
        key["kid"] = json!("same");
    }
    let broken = json!({ "kty": "EC", "crv": "P-256", "kid": "same",
        "x": encode(&[1; 32]), "y": encode(&[2; 32]) });
    let keys = set(&[broken, first, second, other]);
    let with_alg = |alg: &str| json!({ "alg": alg, "kid": "same" });
    for (alg, sign) in [
        ("EdDSA", &sign_first),
        ("EdDSA", &sign_second),
        ("ES256", &sign_other),
    ] {
        let text = token(&with_alg(alg), &claims(), sign);
        let found = user_of(&text, &keys, &Policy::default(), NOW_MS);
        assert!(found.is_ok(), "{alg}");
    }
    // Of a key that is none of them, nobody is believed.
    let (_, stranger) = ed();
    let text = token(&with_alg("EdDSA"), &claims(), &stranger);
    let refusal = user_of(&text, &keys, &Policy::default(), NOW_MS);
    assert_eq!(refusal, Err(Refusal::Signature));
}

#[test]
fn a_secret_must_not_lie_where_anybody_may_read_it() {
    let (secret, _) = hs();
    let text = json!({ "keys": [secret] }).to_string();
    let error = KeySet::parse_public(text.as_bytes()).unwrap_err();
    assert_eq!(error, KeySetError::PublicSecret);
    let keys = KeySet::parse(text.as_bytes()).unwrap();
    assert!(!format!("{keys:?}").contains("secret of"));
}
