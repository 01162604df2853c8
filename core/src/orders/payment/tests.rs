use super::*;
use crate::orders::money::Currency;

const COST: Money = yuan(500);
const CREATED: Option<(order::State, Money)> = Some((order::State::Created, COST));

const fn yuan(minor: u64) -> Money {
    Money {
        minor,
        currency: Currency::CNY,
    }
}

fn due(reason: Reason) -> Decision {
    Decision::Record(State::RefundDue, Some(reason))
}

#[test]
fn only_the_right_amount_pays_an_order_that_waits_for_it() {
    let paid = |amount, order| decide(Reported::Paid, yuan(amount), None, order);
    assert_eq!(paid(500, CREATED), Decision::Pay);
    assert_eq!(paid(499, CREATED), due(Reason::WrongAmount));
    assert_eq!(paid(500, None), due(Reason::UnknownOrder));
    let order = |state| Some((state, COST));
    assert_eq!(
        paid(500, order(order::State::Paid)),
        due(Reason::AlreadyPaid)
    );
    assert_eq!(
        paid(500, order(order::State::Cancelled)),
        due(Reason::Cancelled)
    );
    assert_eq!(
        paid(500, order(order::State::Failed)),
        due(Reason::UnknownOrder)
    );
}

#[test]
fn a_notice_that_is_repeated_or_out_of_order_changes_nothing() {
    for state in [State::Paid, State::RefundDue, State::Refunded] {
        for reported in [Reported::Paid, Reported::Failed] {
            assert_eq!(
                decide(reported, COST, Some(state), CREATED),
                Decision::Keep(state)
            );
        }
    }
    // A first attempt failed, the second went through.
    assert_eq!(
        decide(Reported::Paid, COST, Some(State::Failed), CREATED),
        Decision::Pay
    );
    // Refunded before we heard that it was paid: it pays nothing.
    let refunded = decide(Reported::Refunded(500), COST, None, CREATED);
    assert_eq!(refunded, Decision::Record(State::Refunded, None));
    let late = decide(Reported::Paid, COST, Some(State::Refunded), CREATED);
    assert_eq!(late, Decision::Keep(State::Refunded));
}

fn notice(payment: &str, order: &str, amount: Money, reported: Reported) -> Notice {
    Notice {
        provider: ProviderName::Signed,
        payment: payment.to_owned(),
        order: order.to_owned(),
        amount,
        reported,
    }
}

#[test]
fn a_known_id_with_other_money_is_no_repetition() {
    let dollars = Money::new(500, Currency::parse("USD").unwrap());
    let contradicts = |order: &str, amount, reported, state| {
        notice("p", order, amount, reported).contradicts("7", COST, state)
    };
    for state in [State::Paid, State::RefundDue, State::Refunded] {
        for reported in [Reported::Paid, Reported::Refunded(500)] {
            assert!(!contradicts("7", COST, reported, state));
            assert!(contradicts("8", COST, reported, state));
            assert!(contradicts("7", yuan(501), reported, state));
            assert!(contradicts("7", dollars, reported, state));
        }
        assert!(contradicts("", COST, Reported::Paid, state));
        assert!(!contradicts("", COST, Reported::Refunded(500), state));
        assert!(!contradicts("8", yuan(1), Reported::Failed, state));
    }
    assert!(!contradicts("8", yuan(1), Reported::Paid, State::Failed));
}

#[test]
fn a_notice_has_an_id_and_amounts_that_can_be_recorded() {
    let check =
        |payment: &str, minor, reported| notice(payment, "7", yuan(minor), reported).check();
    assert_eq!(check("p", MAX_MINOR, Reported::Refunded(MAX_MINOR)), Ok(()));
    for blank in ["", " ", "\r\n\t", "\u{3000}"] {
        let refusal = check(blank, 5, Reported::Paid).unwrap_err();
        assert!(refusal.contains("id is blank"), "{blank:?}: {refusal}");
    }
    let refusal = check("p", u64::MAX, Reported::Paid).unwrap_err();
    assert!(refusal.contains("18446744073709551615"), "{refusal}");
    assert!(check("p", 5, Reported::Refunded(MAX_MINOR + 1)).is_err());
}

#[test]
fn money_of_another_currency_pays_nothing() {
    let dollars = Money::new(500, Currency::parse("USD").unwrap());
    let decided = decide(Reported::Paid, dollars, None, CREATED);
    assert_eq!(decided, due(Reason::WrongCurrency));
}

#[test]
fn a_payment_that_was_refunded_in_part_stays_until_all_of_it_is() {
    let after = |part, known| decide(Reported::Refunded(part), COST, known, CREATED);
    for state in [State::Paid, State::RefundDue] {
        assert_eq!(after(499, Some(state)), Decision::Keep(state));
        assert_eq!(
            after(500, Some(state)),
            Decision::Record(State::Refunded, None)
        );
    }
    assert_eq!(after(1, None), due(Reason::PartlyRefunded));
    assert_eq!(after(1, Some(State::Failed)), due(Reason::PartlyRefunded));
    assert_eq!(
        after(1, Some(State::Refunded)),
        Decision::Keep(State::Refunded)
    );
}

#[test]
fn no_two_payments_share_a_key_and_every_key_is_short() {
    let ids = [
        "p-1",
        "p-1 ",
        "P-1",
        "é",
        "e\u{301}",
        "",
        " ",
        "\0",
        "支付",
        "p:1",
        &"x".repeat(64),
        &"x".repeat(65),
        &"x".repeat(60_000),
    ];
    let mut keys = std::collections::BTreeSet::new();
    for provider in [
        ProviderName::Signed,
        ProviderName::Stripe,
        ProviderName::WeChat,
    ] {
        for id in ids {
            let key = key(provider, id);
            assert!((1..=64).contains(&key.len()), "{key}");
            assert!(keys.insert(key.to_ascii_lowercase()) || id == "P-1", "{id}");
            assert_eq!(key, super::key(provider, id));
        }
    }
    assert_eq!(
        key(ProviderName::Signed, "p-1"),
        "p-1",
        "as before there were others"
    );
}

#[test]
fn an_order_is_named_only_as_we_write_its_number() {
    let names = |order: &str| notice("p", order, COST, Reported::Paid).order_id();
    assert_eq!(names("7"), Some(OrderId(7)));
    for other in ["", "07", "+7", " 7", "7 ", "x", "18446744073709551616"] {
        assert_eq!(names(other), None, "{other}");
    }
}

#[test]
fn a_signature_holds_for_its_body_and_its_time() {
    let ring = Keyring::parse(&format!("k1 {}", "p".repeat(32))).unwrap();
    let other = Keyring::parse(&format!("k1 {}", "q".repeat(32))).unwrap();
    let signature = sign(&ring, 1_000_000, b"{}");
    let check = |ring, text: &str, body, now| verify(ring, text, body, now);
    assert_eq!(
        check(&ring, &signature, b"{}", 1_000_000 + WINDOW_MS),
        Ok(())
    );
    let late = check(&ring, &signature, b"{}", 1_000_001 + WINDOW_MS);
    assert_eq!(late, Err(SignatureError::Expired));
    let early = check(&ring, &signature, b"{}", 1_000_000 - WINDOW_MS - 1);
    assert_eq!(early, Err(SignatureError::Expired));
    let forged = Err(SignatureError::Invalid);
    assert_eq!(check(&other, &signature, b"{}", 1_000_000), forged);
    assert_eq!(check(&ring, &signature, b"{} ", 1_000_000), forged);
    let moved = signature.replace("t=1000000", "t=2000000");
    assert_eq!(check(&ring, &moved, b"{}", 2_000_000), forged);
    for bad in ["", "t=1", "t=,v1=", "t=1000000,v1=zz", "v1=00,t=1"] {
        assert_eq!(check(&ring, bad, b"{}", 1_000_000), forged, "{bad}");
    }
}
