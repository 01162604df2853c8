//! The settings in force for one request: its location's configuration, and the
//! keys and the shared memory to decide by.

use std::borrow::Cow;

use ngx::ffi::ngx_uint_t;
use seckill_core::gate::directive::{Fallback, RateLimit};
use seckill_core::gate::verification::Verification;
use seckill_core::gate::{Claim, Credential, Proof};
use seckill_core::signing::keyring::{Digest, Keyring};
use seckill_core::signing::revocation::Marks;
use seckill_core::signing::session::Session;
use seckill_core::signing::trace::Tracing;
use seckill_core::signing::{jwt, session};
use seckill_core::{Verdict, ids};

use crate::conf::{Edge, LocConf, MainConf};
use crate::ctx::request::{Headers, Request};
use crate::state::{Zone, bans};
use crate::tokens::{Jwt, Read, Unverified};
use crate::{clock, ngx_http_seckill_module};

/// What a handler needs to decide about one request.
pub(crate) struct Settings<'a> {
    /// Shared memory.
    pub(crate) zone: Zone,
    /// Signing keys.
    pub(crate) keyring: &'a Keyring,
    /// How hidden URLs are digested here.
    pub(crate) digest: Digest,
    /// Whether requests here are admitted from this edge's share while Redis is away.
    pub(crate) has_fallback: bool,
    /// Whether a captcha pass is required here.
    pub(crate) captcha: bool,
    /// Whether and how purchases are traced here.
    pub(crate) trace: Option<Tracing>,
    user: Option<ngx_uint_t>,
    jwt: Option<&'a Jwt>,
    rate: Option<(usize, RateLimit)>,
    main: &'a MainConf,
}

impl<'a> Settings<'a> {
    /// The settings where the request is.
    ///
    /// # Errors
    /// [`Verdict::Unavailable`] where the configuration is incomplete, which
    /// `nginx -t` refuses.
    pub(crate) fn of(request: &Request<'a>) -> Result<Self, Verdict> {
        let (main, location) = confs(request);
        Ok(Self {
            zone: main.zone.ready().ok_or(Verdict::Unavailable)?.clone(),
            keyring: main.keyring.as_ref().ok_or(Verdict::Unavailable)?,
            digest: location.digest.unwrap_or_default(),
            has_fallback: location.fallback == Some(Fallback::Pass),
            captcha: location.captcha == Some(true),
            trace: location.trace.flatten(),
            user: location.user.flatten(),
            jwt: location.jwt.flatten().map(|index| &main.jwts[index]),
            main,
            rate: location
                .rate
                .flatten()
                .and_then(|index| main.buckets().nth(index)),
        })
    }

    /// This edge, for commands to Redis.
    pub(crate) fn edge(&self) -> Option<Edge> {
        self.main.edge()
    }

    /// How a click here is verified.
    pub(crate) fn verification<'c, 'r>(&'c self, claim: &'c Claim<'r>) -> Verification<'c, 'r> {
        Verification::new(claim, self.keyring, self.digest, self.main.recent())
    }

    /// Whether the request's location is gated.
    pub(crate) fn guards(request: &Request<'a>) -> bool {
        confs(request).1.gate == Some(true)
    }

    /// The buyer for whom this configuration vouches; `None` where nobody does.
    pub(crate) fn vouched<'r>(&self, request: &Request<'r>) -> Option<&'r str> {
        let name = request.variable_bytes(self.user?);
        Some(request.keep(ids::user::write(name)?))
    }

    /// The buyer whom the request names, unverified.
    ///
    /// # Errors
    /// [`Verdict::Unavailable`] for a token while there are no keys to verify it.
    pub(crate) fn buyer<'r>(
        &self,
        request: &Request<'r>,
        headers: &Headers<'r>,
    ) -> Result<Buyer<'r>, Verdict>
    where
        'a: 'r,
    {
        if self.user.is_some() {
            return Ok(Buyer::Vouched(self.vouched(request).unwrap_or_default()));
        }
        match self.token(request, headers) {
            Some((jwt, text)) => token_buyer(request, jwt, text),
            None => Ok(Buyer::Session(headers.session.and_then(Session::parse))),
        }
    }

    /// The token that the request brings, where tokens are believed.
    fn token<'r>(
        &self,
        request: &Request<'r>,
        headers: &Headers<'r>,
    ) -> Option<(&'a Jwt, &'r str)> {
        let jwt = self.jwt?;
        let token = headers.authorization.and_then(jwt::bearer).or_else(|| {
            let cookie = match &*jwt.cookie {
                session::COOKIE => headers.session,
                other => request.cookie(other),
            };
            // A session of ours may stand where a token is looked for.
            cookie.filter(|text| jwt::is_token(text))
        });
        Some((jwt, token?))
    }

    /// The buyer of whom the back end is to be told, verified: all but those whose
    /// session it verifies itself.
    pub(crate) fn told<'r>(&self, request: &Request<'r>) -> Option<&'r str>
    where
        'a: 'r,
    {
        if self.user.is_none() && self.jwt.is_none() {
            return None;
        }
        let buyer = self.buyer(request, &request.headers()).ok()?;
        let user = match &buyer {
            Buyer::Vouched(user) => ids::is_user(user).then_some(*user)?,
            Buyer::Known(user, _) => *user,
            Buyer::Token(token) => token.verify().ok().map(|()| token.user)?,
            Buyer::Session(_) => return None,
        };
        // Who cannot be cleared does not buy here, but stays logged in.
        let result = self.refuse_revoked(&buyer, user, clock::now_ms());
        (result != Err(Verdict::LoginRequired)).then_some(user)
    }

    /// Refuses, and counts, a buyer who was verified by a session or token that is revoked.
    ///
    /// # Errors
    /// As for [`bans::check_session`].
    pub(crate) fn refuse_revoked(
        &self,
        buyer: &Buyer<'_>,
        user: &str,
        now_ms: u64,
    ) -> Result<(), Verdict> {
        let result = self.check_session(buyer, user, now_ms);
        if result == Err(Verdict::LoginRequired) {
            self.zone.counters().revoked.add(1);
        }
        result
    }

    /// Whether the session or token by which a buyer was verified is revoked, as far as
    /// this edge knows.
    pub(crate) fn is_revoked(&self, buyer: &Buyer<'_>, user: &str, now_ms: u64) -> bool {
        self.check_session(buyer, user, now_ms) == Err(Verdict::LoginRequired)
    }

    fn check_session(&self, buyer: &Buyer<'_>, user: &str, now_ms: u64) -> Result<(), Verdict> {
        let check =
            |marks: &dyn Fn() -> Marks| bans::check_session(&self.zone, user, marks, now_ms);
        match buyer {
            // nginx asks for each request anew.
            Buyer::Vouched(_) | Buyer::Session(None) => Ok(()),
            Buyer::Known(_, marks) => check(&|| *marks),
            Buyer::Token(token) => check(&|| token.token.marks),
            Buyer::Session(Some(session)) => check(&|| session.marks()),
        }
    }

    /// Takes a token from the bucket in force here, at `now_ns` of the monotonic
    /// clock; true where there is none.
    pub(crate) fn take_token(&self, now_ns: u64) -> bool {
        self.rate.is_none_or(|(place, limit)| {
            self.zone
                .take_token(place, limit.share(self.zone.edges()), now_ns)
        })
    }
}

/// Who a request says is buying.
pub(crate) enum Buyer<'r> {
    /// This configuration vouches for them.
    Vouched(&'r str),
    /// Their token was verified before, and may be revoked by these marks.
    Known(&'r str, Marks),
    /// Their session, to be verified.
    Session(Option<Session<'r>>),
    /// Their token, to be verified.
    Token(Unverified<'r>),
}

impl Buyer<'_> {
    /// The same for the gate's rules.
    pub(crate) fn credential(&self) -> Credential<'_> {
        match self {
            Self::Vouched(user) | Self::Known(user, _) => Credential::Vouched(user),
            Self::Session(session) => Credential::Session(*session),
            Self::Token(token) => Credential::Proof(token),
        }
    }
}

/// The buyer whom a token names; nobody, if it is no token of the shop's login.
fn token_buyer<'r>(
    request: &Request<'r>,
    jwt: &'r Jwt,
    text: &'r str,
) -> Result<Buyer<'r>, Verdict> {
    match jwt.read(text, clock::now_ms()) {
        Ok(Read::Known(user, marks)) => Ok(Buyer::Known(request.keep(Cow::Owned(user)), marks)),
        Ok(Read::Claimed(token, keys)) => Ok(Buyer::Token(Unverified {
            jwt,
            text,
            user: request.keep(Cow::Owned(token.user.clone())),
            token,
            keys,
        })),
        Err(Verdict::Unavailable) => Err(Verdict::Unavailable),
        Err(_) => Ok(Buyer::Session(None)),
    }
}

/// The configuration where the request is.
pub(crate) fn confs<'a>(request: &Request<'a>) -> (&'a MainConf, &'a LocConf) {
    // SAFETY: nginx made both with our constructors before any request, and
    // they live as long as the cycle, which a request keeps alive.
    unsafe {
        let raw = request.as_ptr();
        let index = ngx_http_seckill_module.ctx_index;
        let main = (*(*raw).main_conf.add(index)).cast::<MainConf>();
        let location = (*(*raw).loc_conf.add(index)).cast::<LocConf>();
        (&*main, &*location)
    }
}
