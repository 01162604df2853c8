//! A seller's mistakes in a sale file, and how each is reported.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;

use seckill::sale::file::{self, Form, Mistake};

const NOW_MS: u64 = 1_795_000_000_000;

/// A right file; each case of the table spoils one line of it.
const RIGHT: &str = r#"[[round]]
id = "1"
name = "Noon"
starts = "+10s"
ends = "+10m"

[[round.product]]
id = "153"
title = "Phone"
amount = 1000
price_cents = 99900
list_price_cents = 399900
per_buyer = 1
"#;

fn mistakes_after(line: &str, instead: &str) -> Vec<Mistake> {
    assert!(
        RIGHT.contains(line),
        "{line:?} is no part of the right file"
    );
    file::parse(&RIGHT.replacen(line, instead, 1), Form::Toml, NOW_MS).unwrap_err()
}

#[test]
fn a_right_file_is_read_with_its_times_counted_from_the_import() {
    let rounds = file::parse(RIGHT, Form::Toml, NOW_MS).unwrap();
    assert_eq!(rounds.len(), 1);
    let round = &rounds[0].round;
    assert_eq!(round.opens_ms, NOW_MS + 10_000);
    assert_eq!(round.ends_ms, NOW_MS + 610_000);
    assert_eq!(round.products[0].amount, 1000);
    assert!(rounds[0].starts_relative && rounds[0].ends_relative);
}

#[test]
fn a_round_has_as_many_products_as_the_console_takes() {
    let mut text = RIGHT.to_owned();
    for n in 0..10_000 {
        text.push_str(&format!(
            "[[round.product]]\nid = \"p{n}\"\ntitle = \"P\"\namount = 1\nprice_cents = 1\n"
        ));
    }
    let mistakes = file::parse(&text, Form::Toml, NOW_MS).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert_eq!(mistakes[0].code, "too_many_products");
    let problem = &mistakes[0].problem;
    assert!(problem.contains("10001 products"), "{problem}");
}

#[test]
fn no_place_has_an_offset_of_a_day() {
    let starts = "starts = \"2027-06-18T12:00:00+25:00\"";
    let mistakes = mistakes_after("starts = \"+10s\"", starts);
    assert_eq!(mistakes[0].code, "not_a_time");
    assert!(mistakes[0].problem.contains("+25:00"), "{mistakes:?}");
}

#[test]
fn segments_are_given_in_full_or_not_at_all() {
    let given = |text: &str| {
        RIGHT.replace(
            "per_buyer = 1",
            &format!("per_buyer = 1\nsegments = {text}"),
        )
    };
    let rounds = file::parse(&given("[300, 300, 400]"), Form::Toml, NOW_MS).unwrap();
    assert_eq!(rounds[0].round.products[0].segments, [300, 300, 400]);
    let rounds = file::parse(RIGHT, Form::Toml, NOW_MS).unwrap();
    assert!(rounds[0].round.products[0].segments.is_empty());
    for (text, words) in [
        ("[300, 300]", "add up to 600, and the amount is 1000"),
        ("[]", "is empty; write 1 to 99 whole numbers"),
        ("[-1, 1001]", "-1 (a number) is no amount"),
        ("[1000, \"0\"]", "\"0\" (text) is no amount"),
        ("3", "3 (a number) is not a list"),
    ] {
        let mistakes = file::parse(&given(text), Form::Toml, NOW_MS).unwrap_err();
        assert_eq!(
            (mistakes.len(), mistakes[0].line),
            (1, 14),
            "{text}: {mistakes:?}"
        );
        assert_eq!(mistakes[0].field, "round.product.segments");
        assert!(
            mistakes[0].problem.contains(words),
            "{}",
            mistakes[0].problem
        );
    }
}

#[test]
fn pictures_have_a_text_each_or_the_title() {
    let given = |pictures: &str, alts: &str| {
        let lines = format!("per_buyer = 1\npicture = \"{pictures}\"\npicture_alt = {alts}");
        RIGHT.replace("per_buyer = 1", &lines)
    };
    let read = |alts: &str| file::parse(&given("a.jpg,b.jpg", alts), Form::Toml, NOW_MS);
    for (alts, kept) in [
        (r#"["Front", "Back"]"#, vec!["Front", "Back"]),
        (r#"["", " Back "]"#, vec!["", "Back"]),
        (r#"["Front", ""]"#, vec!["Front"]),
        ("[]", vec![]),
    ] {
        let rounds = read(alts).unwrap();
        assert_eq!(rounds[0].round.products[0].picture_alt, kept, "{alts}");
    }
    let long = format!("[\"{}\"]", "x".repeat(201));
    for (alts, words) in [
        (
            r#"["1", "2", "3"]"#,
            "has 3 texts, and the product has 2 pictures",
        ),
        (r#""Front""#, "is not a list; write a text for each picture"),
        ("[1]", "1 (a number) is not a text"),
        (r#"["Fro\u200Bnt"]"#, "an invisible character in it, U+200B"),
        (
            r#"["a\u202Eb"]"#,
            "U+202E in it, which changes the direction",
        ),
        (r#"["two\nlines"]"#, "has a line break"),
        (&long, "has 201 characters; write at most 200"),
    ] {
        let mistakes = read(alts).unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].line), (1, 15), "{alts}");
        assert_eq!(mistakes[0].field, "round.product.picture_alt");
        let problem = &mistakes[0].problem;
        assert!(problem.contains(words), "{alts}: {problem}");
    }
}

#[test]
fn json_of_the_same_shape_says_the_same() {
    let json = r#"{"round":[{"id":"1","name":"Noon","starts":"+10s","ends":"+10m","product":[
        {"id":"153","title":"Phone","amount":1000,"price_cents":99900,
         "list_price_cents":399900,"per_buyer":1}]}]}"#;
    let toml = file::parse(RIGHT, Form::Toml, NOW_MS).unwrap();
    assert_eq!(file::parse(json, Form::Json, NOW_MS).unwrap(), toml);
}

#[test]
fn each_mistake_is_reported_with_its_line_its_field_and_the_cure() {
    // What stands there, what a seller wrote instead, line, field, words of the message.
    let cases = [
        (
            r#"id = "1""#,
            r#"id = "a-b""#,
            2,
            "round.id",
            r#""a-b" cannot be an id"#,
        ),
        (
            r#"id = "1""#,
            "id = 1",
            2,
            "round.id",
            "1 (a number) cannot be an id",
        ),
        (
            r#"name = "Noon""#,
            "",
            1,
            "round.name",
            r#"is missing; write name = "Noon""#,
        ),
        (
            r#"name = "Noon""#,
            r#"name = " ""#,
            3,
            "round.name",
            "is empty",
        ),
        (
            r#"name = "Noon""#,
            "nmae = \"Noon\"",
            3,
            "round.nmae",
            r#"did you mean "name"?"#,
        ),
        (
            r#""+10s""#,
            r#""12:00""#,
            4,
            "round.starts",
            r#""12:00" is not a time; write"#,
        ),
        (
            r#""+10s""#,
            r#""2026-11-23T12:00:00""#,
            4,
            "round.starts",
            "with its offset",
        ),
        (r#""+10s""#, "2026-13-45", 4, "", "this is not TOML"),
        (
            r#""+10m""#,
            r#""+0s""#,
            5,
            "round.ends",
            "is not after the start",
        ),
        (
            r#""+10m""#,
            r#""2020-01-01T00:00:00Z""#,
            5,
            "round.ends",
            "is not after the start",
        ),
        (
            r#""+10m""#,
            r#""2120-01-01T00:00:00Z""#,
            5,
            "round.ends",
            "after the year 2099",
        ),
        (
            "amount = 1000",
            "amount = 0",
            10,
            "round.product.amount",
            "0 is out of range; write",
        ),
        (
            "amount = 1000",
            "amount = -1",
            10,
            "round.product.amount",
            "-1 is out of range",
        ),
        (
            "amount = 1000",
            "amount = 1.5",
            10,
            "round.product.amount",
            "1.5 (a fraction)",
        ),
        (
            "amount = 1000",
            "amount = \"7\"",
            10,
            "round.product.amount",
            "write 7 without the quotes",
        ),
        (
            "amount = 1000",
            "ammount = 1000",
            10,
            "round.product.ammount",
            r#"did you mean "amount"?"#,
        ),
        (
            "price_cents = 99900",
            "price_cents = 500000",
            11,
            "round.product.price_cents",
            "above list_price_cents, 399900",
        ),
        (
            "per_buyer = 1",
            "per_buyer = 0",
            13,
            "round.product.per_buyer",
            "0 is out of range",
        ),
        (
            "per_buyer = 1",
            "per_buyer = 1001",
            13,
            "round.product.per_buyer",
            "write a number from 1 to 1000",
        ),
        (
            "per_buyer = 1",
            "colour = 1",
            13,
            "round.product.colour",
            "known are id, title",
        ),
        ("amount = 1000", "amount = = 1", 10, "", "this is not TOML"),
    ];
    for (line, instead, expected_line, field, words) in cases {
        let mistakes = mistakes_after(line, instead);
        let is_reported = mistakes.iter().any(|mistake| {
            mistake.line == expected_line
                && mistake.field == field
                && mistake.problem.contains(words)
        });
        assert!(is_reported, "{instead:?}: {mistakes:#?}");
    }
}

#[test]
fn a_round_that_is_over_and_ids_used_twice_are_reported() {
    let over = RIGHT
        .replace("+10s", "2020-01-01T00:00:00Z")
        .replace("+10m", "2020-01-01T01:00:00Z");
    let mistakes = file::parse(&over, Form::Toml, NOW_MS).unwrap_err();
    assert!(
        mistakes[0]
            .problem
            .contains("ended at 2020-01-01T01:00:00Z"),
        "{mistakes:?}"
    );

    let twice = format!("{RIGHT}\n{RIGHT}");
    let mistakes = file::parse(&twice, Form::Toml, NOW_MS).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert_eq!(
        (mistakes[0].line, mistakes[0].field.as_str()),
        (16, "round.id")
    );
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let spoilt = RIGHT
        .replace("\"+10s\"", "\"soon\"")
        .replace("amount = 1000", "amount = 0")
        .replace("title = \"Phone\"\n", "");
    let mistakes = file::parse(&spoilt, Form::Toml, NOW_MS).unwrap_err();
    let fields: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "round.starts",
            "round.product.title",
            "round.product.amount"
        ]
    );
}

#[test]
fn a_mistake_in_json_has_its_place_too() {
    let json = "{\"round\":[\n  {\"id\":\"1\",\"name\":\"Noon\",\"starts\":\"+1s\",\"ends\":\"+1m\",\n   \"product\":[{\"id\":\"1\",\"title\":\"P\",\"amount\":true,\"price_cents\":1}]}]}";
    let mistakes = file::parse(json, Form::Json, NOW_MS).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert_eq!(
        (mistakes[0].line, mistakes[0].column),
        (3, 46),
        "{mistakes:?}"
    );
    assert_eq!(mistakes[0].field, "round.product.amount");

    for broken in [
        "",
        "{",
        "{\"round\": [,]}",
        "{\"round\": 1, \"round\": 2}",
        "{} // note",
    ] {
        assert!(
            file::parse(broken, Form::Json, NOW_MS).is_err(),
            "{broken:?}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = file::read(Path::new("/nowhere/sale.toml"), NOW_MS).unwrap_err();
    assert!(error.to_string().contains("/nowhere/sale.toml"), "{error}");
}

#[test]
fn the_demo_sale_is_a_right_file_with_the_course_s_amounts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/sale.toml");
    let rounds = file::read(&path, NOW_MS).unwrap();
    let amounts: Vec<u64> = rounds[0]
        .round
        .products
        .iter()
        .map(|product| product.amount)
        .collect();
    assert_eq!(amounts, [1_000, 20_000, 1_000]);
}

#[test]
fn a_file_of_another_kind_is_called_what_it_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let table = b"round,product,amount\nnoon,153,10\n";
    let cases: [(&str, &[u8], &str); 5] = [
        ("sale.csv", table, "a table of values (CSV)"),
        ("sale.txt", table, "a table of values (CSV)"),
        ("sale.xlsx", b"PK\x03\x04\x14\x00\xff\xfe", "a spreadsheet"),
        ("sale.yaml", b"round:\n  id: 1\n", "YAML"),
        ("sale.toml", b"{ \"round\": [] }", "JSON by its content"),
    ];
    for (name, content, kind) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = file::read(&path, NOW_MS).unwrap_err().to_string();
        let said = format!("{name} is {kind}; sale files are TOML, or JSON");
        assert!(error.contains(&said), "{error}");
    }
    let path = folder.path().join("sale.toml");
    std::fs::write(&path, RIGHT.replace("amount = 1000", "amount = 0")).unwrap();
    let error = file::read(&path, NOW_MS).unwrap_err().to_string();
    assert!(error.contains("a mistake"), "{error}");
}
