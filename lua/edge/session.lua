-- The buyer's session, `{user}.{expires}.{kid}.{digest}` in the cookie
-- seckill_session (course §027-029 and §059 keep sessions in Redis; here the token
-- proves itself, as in core/src/session.rs, since the gate refuses strangers
-- before any I/O).

local ids = require("edge.ids")
local keyring = require("edge.keyring")

local match = string.match
local tonumber = tonumber
local var = ngx.var

local _M = {}

-- Takes the request's token apart, from the right, since a user may contain
-- dots: user, expires, kid, digest; nil if there is none or its shape is wrong.
local function parse(token)
    if not token then
        return nil
    end
    local user, expires, kid, digest = match(token, "^(.+)%.(%d+)%.([^.]*)%.([^.]*)$")
    if user and ids.is_user(user) then
        return user, expires, kid, digest
    end
end

local function is_valid(user, expires, kid, digest, now_ms)
    local key = keyring.find(kid)
    return key ~= nil and now_ms < tonumber(expires)
        and key.session:text(user .. "\n" .. expires .. "\n") == digest
end

-- Who the request says it comes from, without verifying it, and a function's
-- worth of arguments for `confirm`.
function _M.claimed(options)
    if not options.user_variable then
        return parse(var.cookie_seckill_session)
    end
    local user = var[options.user_variable]
    if user and ids.is_user(user) then
        return user
    end
end

-- Whether the claim holds. A user without a token is one that the operator's
-- own configuration vouches for.
function _M.confirm(options, now_ms, user, expires, kid, digest)
    return options.user_variable ~= nil or is_valid(user, expires, kid, digest, now_ms)
end

return _M
