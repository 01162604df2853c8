//! Signatures, beside the general implementations that they replace.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use hmac::Mac as _;
use seckill_core::captcha::pass;
use seckill_core::captcha::pass::Pass;
use seckill_core::ids;
use seckill_core::signing::hidden_path;
use seckill_core::signing::hidden_path::HiddenPath;
use seckill_core::signing::keyring::{Digest, Purpose};
use seckill_core::signing::session;
use seckill_core::signing::session::Session;
use sha2::digest::generic_array::GenericArray;
use subtle::ConstantTimeEq as _;

use crate::{ITEM, NOW_MS, USER, ring};

pub(crate) fn all(criterion: &mut Criterion) {
    digests(criterion);
    tokens(criterion);
    texts(criterion);
}

/// The digest of a session: ours, the `hmac` crate's, and SHA-256 alone.
fn digests(criterion: &mut Criterion) {
    let (ring, expires) = (ring(), (NOW_MS + 1_000_000).to_string());
    let key = ring.first();
    let fields = [USER, expires.as_str()];
    let digest = key.sign(Purpose::Session, Digest::HmacSha256, &fields);
    criterion.bench_function("session digest", |bench| {
        let verify = || {
            key.verify(
                Purpose::Session,
                Digest::HmacSha256,
                black_box(&fields),
                black_box(&digest),
            )
        };
        assert!(verify());
        bench.iter(verify);
    });
    // The reference has a key of its own: only the work counts.
    let Ok(prepared) = hmac::Hmac::<sha2::Sha256>::new_from_slice(&[7; 32]) else {
        return;
    };
    criterion.bench_function("session digest by the hmac crate", |bench| {
        bench.iter(|| {
            let mut mac = prepared.clone();
            for field in black_box(&fields) {
                mac.update(field.as_bytes());
                mac.update(b"\n");
            }
            let mut given = [0; 32];
            let is_text = URL_SAFE_NO_PAD
                .decode_slice(black_box(&digest), &mut given)
                .is_ok();
            let computed = mac.finalize().into_bytes();
            is_text && bool::from(computed.as_slice().ct_eq(&given))
        });
    });
    criterion.bench_function("SHA-256 of the two blocks of a session digest", |bench| {
        let block = GenericArray::from([7_u8; 64]);
        bench.iter(|| {
            let mut state = [7_u32; 8];
            for _ in 0..2 {
                sha2::compress256(&mut state, std::slice::from_ref(black_box(&block)));
            }
            state
        });
    });
}

/// Whole tokens, taken apart and verified.
fn tokens(criterion: &mut Criterion) {
    let ring = ring();
    let (key, expires_ms) = (ring.first(), NOW_MS + 100_000);
    let token = session::sign(key, USER, expires_ms);
    criterion.bench_function("session verified", |bench| {
        bench.iter(|| {
            Session::parse(black_box(&token)).is_some_and(|it| it.is_valid(&ring, NOW_MS))
        });
    });
    for (name, digest) in [
        ("hidden URL verified", Digest::HmacSha256),
        ("hidden URL verified by MD5", Digest::Md5),
    ] {
        let url = hidden_path::sign(key, digest, ITEM, USER, expires_ms, [7; 8]);
        criterion.bench_function(name, |bench| {
            bench.iter(|| {
                HiddenPath::parse(black_box(&url))
                    .is_some_and(|path| path.is_signed_for(USER, &ring, digest))
            });
        });
    }
    let pass = pass::sign(key, ITEM, USER, expires_ms, [7; 8]);
    criterion.bench_function("captcha pass verified", |bench| {
        bench.iter(|| {
            Pass::parse(black_box(&pass))
                .is_some_and(|it| it.is_good_for(USER, ITEM, &ring, NOW_MS))
        });
    });
}

/// Taking texts apart, beside the standard library's way.
fn texts(criterion: &mut Criterion) {
    let ring = ring();
    let url = hidden_path::sign(ring.first(), Digest::HmacSha256, ITEM, USER, NOW_MS, [7; 8]);
    criterion.bench_function("hidden URL taken apart field by field", |bench| {
        bench.iter(|| HiddenPath::parse(black_box(&url)).is_some());
    });
    criterion.bench_function("hidden URL taken apart by split", |bench| {
        bench.iter(|| is_hidden_path(black_box(&url)));
    });
    let token = session::sign(ring.first(), USER, NOW_MS);
    let header = format!(
        "lang=zh-CN; theme=dark; {}={token}; _id=42",
        session::COOKIE
    );
    criterion.bench_function("cookie found byte by byte", |bench| {
        bench.iter(|| session::cookie(black_box(header.as_bytes()), session::COOKIE));
    });
    criterion.bench_function("cookie found by split", |bench| {
        bench.iter(|| {
            black_box(&header).split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                (name == session::COOKIE).then_some(value)
            })
        });
    });
}

/// The same checks as [`HiddenPath::parse`], each field split off and then checked.
fn is_hidden_path(path: &str) -> bool {
    let mut fields = path.split('/').skip(2);
    let mut next = || fields.next().unwrap_or_default();
    let (round, product, expires, nonce) = (next(), next(), next(), next());
    let Some((kid, digest)) = next().split_once('.') else {
        return false;
    };
    path.starts_with(hidden_path::PREFIX)
        && ids::is_id(round)
        && ids::is_id(product)
        && expires.bytes().all(|byte| byte.is_ascii_digit())
        && expires.parse::<u64>().is_ok()
        && nonce.len() == hidden_path::NONCE_LEN
        && nonce
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && kid.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && matches!(digest.len(), 32 | 43)
}
