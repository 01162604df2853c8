-- The buyer's session, `{user}.{expires}-{issued}.{kid}.{digest}` in the cookie
-- seckill_session (course §027-029 and §059 keep sessions in Redis; here the token
-- proves itself, as in core/src/signing/session.rs, since the gate refuses strangers
-- before any I/O).

local ids = require("edge.ids")
local keyring = require("edge.keyring")

local match = ngx.re.match
local tonumber = tonumber
local var = ngx.var

-- User, times as they are signed, expiry, key id, digest; the user may contain dots, and
-- the time of issue may be missing.
local SHAPE = "^((?:[A-Za-z0-9_.@+~-]|%[0-9A-F]{2}){1,255})\\.(([0-9]{1,20})(?:-[0-9]{1,20})?)\\.([^.]*)\\.([^.]*)$"

local _M = {}
local parts = {}

-- Parses the token: user, times, expires, kid, digest; nil if there is none or its form
-- is wrong.
local function parse(token)
    if token and match(token, SHAPE, "jo", nil, parts) then
        return parts[1], parts[2], parts[3], parts[4], parts[5]
    end
end

local function is_valid(user, times, expires, kid, digest, now_ms)
    local key = keyring.find(kid)
    return key ~= nil and now_ms < tonumber(expires)
        and key.session:text(user .. "\n" .. times .. "\n") == digest
end

-- The user whom the request names, unverified, followed by the arguments with
-- which `confirm` verifies it.
function _M.claimed(options)
    if not options.user_variable then
        return parse(var.cookie_seckill_session)
    end
    local name = var[options.user_variable]
    return name and ids.user(name)
end

-- Whether the claim is valid. For a user from a variable, nginx vouches.
function _M.confirm(options, now_ms, user, times, expires, kid, digest)
    return options.user_variable ~= nil or is_valid(user, times, expires, kid, digest, now_ms)
end

return _M
