//! What an edge vouched for, read from its signed headers.

use axum::http::HeaderMap;
use seckill_core::Verdict;
use seckill_core::captcha::pass::{self, Pass};
use seckill_core::gate::Admissible;
use seckill_core::gate::admission::{self, Admission};
use seckill_core::permits::permit::PermitId;
use seckill_core::signing::hidden_path::HiddenPath;
use seckill_core::signing::keyring::Keyring;

/// A purchase that an edge admitted. Its URL, buyer and captcha pass were verified
/// there, by the edge's clock.
pub(super) struct Admitted<'a> {
    /// What is wanted, by whom. Its pass is to be spent, if the edge required one.
    pub(super) admissible: Admissible<'a>,
    /// The request's id.
    pub(super) request: &'a str,
    /// The permit; `None` for a request that was admitted before, and is only to be
    /// answered again.
    pub(super) permit: Option<PermitId>,
}

/// Reads the headers of an edge; `None` if the request came without one.
///
/// # Errors
/// `bad_signature` if somebody else wrote the headers, or changed them.
pub(super) fn read<'a>(
    headers: &'a HeaderMap,
    path: &'a str,
    quantity: u32,
    ring: &Keyring,
) -> Result<Option<Admitted<'a>>, Verdict> {
    let Some(signature) = single(headers, admission::HEADER)? else {
        return Ok(None);
    };
    let path = HiddenPath::parse(path).ok_or(Verdict::BadRequest)?;
    let text = |name| single(headers, name).map(Option::unwrap_or_default);
    let admission = Admission {
        user: text(admission::USER_HEADER)?,
        round: path.round,
        product: path.product,
        quantity,
        request: text(admission::REQUEST_HEADER)?,
        permit: text(admission::PERMIT_HEADER)?,
        pass: text(pass::HEADER)?,
    };
    // An edge that requires no pass signs none, whatever the client brought.
    let without = Admission {
        pass: "",
        ..admission
    };
    let admission = [admission, without]
        .into_iter()
        .find(|admission| admission.is_signed(signature, ring))
        .ok_or(Verdict::BadSignature)?;
    let permit = match admission.permit {
        "" => None,
        permit => Some(PermitId::parse(permit).ok_or(Verdict::BadRequest)?),
    };
    Ok(Some(Admitted {
        admissible: Admissible {
            user: admission.user,
            round: admission.round,
            product: admission.product,
            quantity,
            pass: Pass::parse(admission.pass),
        },
        request: admission.request,
        permit,
    }))
}

/// The value of a header that decides. One that is no text is read as an empty value,
/// which is malformed.
///
/// # Errors
/// `bad_request`, if it was sent twice: others may have read the other one.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Verdict> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first.map(|value| value.to_str().unwrap_or_default())),
        Some(_) => Err(Verdict::BadRequest),
    }
}
