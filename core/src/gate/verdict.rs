//! The verdicts on a request. Their codes are public: clients and log analysis rely
//! on them, so that they never change meaning.

/// A refusal, with its stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Malformed: path, id, quantity, method, or a body where none belongs.
    BadRequest,
    /// No valid session.
    LoginRequired,
    /// The hidden URL was not signed by us for this buyer and product.
    BadSignature,
    /// The hidden URL is ours, but too old.
    Expired,
    /// The address or the account is banned.
    Blocked,
    /// No valid captcha pass.
    CaptchaRequired,
    /// No product has this name.
    NotFound,
    /// The buyer has bought this product already.
    Duplicate,
    /// No permit, or no stock, is left.
    SoldOut,
    /// The round is over.
    Ended,
    /// The round has not begun.
    TooEarly,
    /// Over the site's rate: try again in a moment.
    Busy,
    /// A service that is needed for the decision is away.
    Unavailable,
    /// The product's stock is older than what was sold from it, and is being put right.
    Halted,
    /// An operator has interrupted the sale.
    Paused,
    /// An operator has taken the product off sale.
    Withdrawn,
}

impl Verdict {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Verdict; 16] = [
        Verdict::BadRequest,
        Verdict::LoginRequired,
        Verdict::BadSignature,
        Verdict::Expired,
        Verdict::Blocked,
        Verdict::CaptchaRequired,
        Verdict::NotFound,
        Verdict::Duplicate,
        Verdict::SoldOut,
        Verdict::Ended,
        Verdict::TooEarly,
        Verdict::Busy,
        Verdict::Unavailable,
        Verdict::Halted,
        Verdict::Paused,
        Verdict::Withdrawn,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Verdict::BadRequest => 400,
            Verdict::LoginRequired => 401,
            Verdict::BadSignature
            | Verdict::Expired
            | Verdict::Blocked
            | Verdict::CaptchaRequired => 403,
            Verdict::NotFound => 404,
            Verdict::Duplicate => 409,
            Verdict::SoldOut | Verdict::Ended | Verdict::Paused | Verdict::Withdrawn => 410,
            Verdict::TooEarly => 425,
            Verdict::Busy => 429,
            Verdict::Unavailable | Verdict::Halted => 503,
        }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Verdict::BadRequest => "bad_request",
            Verdict::LoginRequired => "login_required",
            Verdict::BadSignature => "bad_signature",
            Verdict::Expired => "expired",
            Verdict::Blocked => "blocked",
            Verdict::CaptchaRequired => "captcha_required",
            Verdict::NotFound => "not_found",
            Verdict::Duplicate => "duplicate",
            Verdict::SoldOut => "sold_out",
            Verdict::Ended => "ended",
            Verdict::TooEarly => "too_early",
            Verdict::Busy => "busy",
            Verdict::Unavailable => "unavailable",
            Verdict::Halted => "halted",
            Verdict::Paused => "paused",
            Verdict::Withdrawn => "withdrawn",
        }
    }

    /// The whole response body, ready to send: code and a sentence for people.
    ///
    /// Pages translate by the code; the sentence is for people who read the raw
    /// response. A constant, so that refusing allocates nothing.
    #[must_use]
    pub const fn json(self) -> &'static str {
        match self {
            Verdict::BadRequest => {
                r#"{"code":"bad_request","message":"The request is malformed; reload the page and try again."}"#
            }
            Verdict::LoginRequired => {
                r#"{"code":"login_required","message":"Log in, then try again."}"#
            }
            Verdict::BadSignature => {
                r#"{"code":"bad_signature","message":"This purchase address is not yours; fetch a new one from the product page."}"#
            }
            Verdict::Expired => {
                r#"{"code":"expired","message":"This purchase address is too old; fetch a new one from the product page."}"#
            }
            Verdict::Blocked => {
                r#"{"code":"blocked","message":"This account or address is blocked; contact the shop if you think it should not be."}"#
            }
            Verdict::CaptchaRequired => {
                r#"{"code":"captcha_required","message":"Solve the puzzle, then try again."}"#
            }
            Verdict::NotFound => {
                r#"{"code":"not_found","message":"There is nothing here by that name."}"#
            }
            Verdict::Duplicate => {
                r#"{"code":"duplicate","message":"You have already bought this; see your orders."}"#
            }
            Verdict::SoldOut => r#"{"code":"sold_out","message":"Sold out."}"#,
            Verdict::Ended => r#"{"code":"ended","message":"This round is over."}"#,
            Verdict::TooEarly => {
                r#"{"code":"too_early","message":"The sale has not begun; wait for the countdown."}"#
            }
            Verdict::Busy => {
                r#"{"code":"busy","message":"Too many shoppers at this moment; try again in a second."}"#
            }
            Verdict::Unavailable => {
                r#"{"code":"unavailable","message":"The shop cannot answer right now; try again shortly."}"#
            }
            Verdict::Halted => {
                r#"{"code":"halted","message":"This product is not sold for a moment, while its stock is checked; try again shortly."}"#
            }
            Verdict::Paused => {
                r#"{"code":"paused","message":"The shop has interrupted this sale; stay on the page, which says when it goes on."}"#
            }
            Verdict::Withdrawn => {
                r#"{"code":"withdrawn","message":"The shop has taken this off sale."}"#
            }
        }
    }

    /// Seconds for the `Retry-After` header, where one helps.
    #[must_use]
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            Verdict::Busy | Verdict::Unavailable | Verdict::Halted => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_is_json_that_carries_its_own_code() {
        for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index);
            let body: serde_json::Value = serde_json::from_str(verdict.json()).unwrap();
            assert_eq!(body["code"], verdict.code());
            assert!(body["message"].as_str().unwrap().ends_with('.'));
        }
    }

    #[test]
    fn busy_and_sold_out_differ() {
        assert_ne!(Verdict::Busy.status(), Verdict::SoldOut.status());
        assert_eq!(Verdict::Busy.retry_after_s(), Some(1));
        assert_eq!(Verdict::SoldOut.retry_after_s(), None);
    }
}
