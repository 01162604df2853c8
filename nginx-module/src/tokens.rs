//! Tokens of the shop's own login (`seckill_jwt`): the keys that this worker has, and the
//! tokens that it has verified.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use seckill_core::Verdict;
use seckill_core::gate::Proof;
use seckill_core::gate::directive::jwt::Jwks;
use seckill_core::signing::jwt::remembered::{Remembered, Verified};
use seckill_core::signing::jwt::{KeySet, Policy, Refusal, Token};
use seckill_core::signing::revocation::Marks;

use crate::{error_log, random};

/// Verified tokens that a worker remembers: some 27 MiB when it is full.
const REMEMBERED: usize = 131_072;

/// One `seckill_jwt` of the configuration.
pub(crate) struct Jwt {
    /// Its place among all of them.
    pub(crate) index: usize,
    /// What a token must say.
    pub(crate) policy: Policy,
    /// The cookie that holds a token.
    pub(crate) cookie: String,
    /// Where the keys are.
    pub(crate) jwks: Jwks,
    /// The keys of a file, read with the configuration.
    pub(crate) from_file: Option<Rc<KeySet>>,
}

thread_local! {
    /// The key sets that the back end has fetched, by their URLs.
    static FETCHED: RefCell<HashMap<String, Rc<KeySet>>> = RefCell::new(HashMap::new());
    static VERIFIED: RefCell<Option<Remembered>> = const { RefCell::new(None) };
    /// Whether a token named a key that no set has.
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Puts a key set in force that the back end has fetched.
pub(crate) fn put(url: &str, keys: KeySet) {
    FETCHED.with_borrow_mut(|sets| sets.insert(url.to_owned(), Rc::new(keys)));
}

/// Whether a newer key set is wanted since the last call.
pub(crate) fn take_wanted() -> bool {
    WANTED.replace(false)
}

impl Jwt {
    fn keys(&self) -> Option<Rc<KeySet>> {
        match &self.jwks {
            Jwks::File(_) => self.from_file.clone(),
            Jwks::Url(url) => FETCHED.with_borrow(|sets| sets.get(url).cloned()),
        }
    }

    /// Reads a token: whom it names, if it was verified before; or what is still to be
    /// verified.
    ///
    /// # Errors
    /// [`Verdict::Unavailable`] while there are no keys, and [`Verdict::LoginRequired`].
    pub(crate) fn read<'a>(&'a self, text: &'a str, now_ms: u64) -> Result<Read<'a>, Verdict> {
        let keys = self.keys().ok_or(Verdict::Unavailable)?;
        let known = VERIFIED.with_borrow_mut(|verified| {
            let found = verified.as_mut()?.find(self.index, text, &keys, now_ms)?;
            Some((found.user.to_string(), found.marks))
        });
        if let Some((user, marks)) = known {
            return Ok(Read::Known(user, marks));
        }
        match Token::read(text, &self.policy, now_ms) {
            Ok(token) => Ok(Read::Claimed(token, keys)),
            Err(refusal) => Err(refused(refusal)),
        }
    }
}

/// What was read of a token.
pub(crate) enum Read<'a> {
    /// It was verified before, names this user, and may be revoked by these marks.
    Known(String, Marks),
    /// It is to be verified by these keys.
    Claimed(Token<'a>, Rc<KeySet>),
}

/// A token whose signature is still to be verified.
pub(crate) struct Unverified<'a> {
    /// The directive by which it was read.
    pub(crate) jwt: &'a Jwt,
    /// The token itself.
    pub(crate) text: &'a str,
    /// The user whom it names, in memory that lives as long as the request.
    pub(crate) user: &'a str,
    /// What it says.
    pub(crate) token: Token<'a>,
    /// The keys.
    pub(crate) keys: Rc<KeySet>,
}

impl std::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token must not reach a log.
        f.debug_struct("Unverified").finish_non_exhaustive()
    }
}

impl Proof for Unverified<'_> {
    fn user(&self) -> &str {
        self.user
    }

    fn verify(&self) -> Result<(), Verdict> {
        let key = self.token.verify(&self.keys).map_err(|refusal| {
            let may_be_new =
                refusal == Refusal::UnknownKey && matches!(self.jwt.jwks, Jwks::Url(_));
            if may_be_new {
                WANTED.set(true);
            }
            refused(refusal)
        })?;
        let verified = Verified {
            user: self.user.into(),
            until_ms: self.token.until_ms,
            key,
            marks: self.token.marks,
        };
        VERIFIED.with_borrow_mut(|all| {
            let all = all.get_or_insert_with(|| {
                Remembered::new(std::array::from_fn(|_| random::word()), REMEMBERED)
            });
            all.remember(self.jwt.index, self.text, verified);
        });
        Ok(())
    }
}

fn refused(refusal: Refusal) -> Verdict {
    // At a level that is off in production: strangers can send such tokens at will.
    error_log::debug(&format!("a token is refused: {refusal}"));
    Verdict::LoginRequired
}
