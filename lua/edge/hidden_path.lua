-- The hidden purchase URL (course §075: a dynamic URL, handed out from one
-- minute before the start, that carries a digest of random text):
-- `/buy/{round}/{product}/{expires}/{nonce}/{kid}.{digest}`.

local bit = require("bit")
local ffi = require("ffi")

local keyring = require("edge.keyring")

local match = ngx.re.match
local max = math.max
local md5 = ngx.md5
local min = math.min
local tohex = bit.tohex

ffi.cdef([[ int RAND_bytes(unsigned char *bytes, int count); ]])

local LIFE_MS = 600000
-- Handed out from LEAD before the start and valid for LIFE after it, with a minute
-- for clocks that disagree.
local LEAD_MS = 60000
local HORIZON_MS = LEAD_MS + LIFE_MS + 60000
local SHAPE = "^/buy/([A-Za-z0-9_]{1,32})/([A-Za-z0-9_]{1,32})/([0-9]{1,15})/([0-9a-f]{16})"
    .. "/([A-Za-z0-9]{1,16})\\.(.{43}|.{32})$"

local random = ffi.new("uint32_t[2]")
local random_bytes = ffi.cast("unsigned char *", random)
local parts = {}

local _M = { LEAD_MS = LEAD_MS, HORIZON_MS = HORIZON_MS }

-- Parses a path: round, product, expires, nonce, kid, digest in a table that is
-- valid until the next call; nil if it is no purchase URL.
function _M.parse(path)
    return match(path, SHAPE, "jo", nil, parts)
end

local function digest(key, md5_wanted, user, round, product, expires, nonce)
    local lines = user .. "\n" .. round .. "\n" .. product .. "\n" .. expires .. "\n" .. nonce .. "\n"
    if md5_wanted then
        return md5("seckill path v1\n" .. lines .. key.secret)
    end
    return key.path:text(lines)
end

-- Whether a key of the ring signed these parts for `user`.
function _M.is_signed_for(user, path, md5_wanted)
    local key = keyring.find(path[5])
    return key ~= nil and digest(key, md5_wanted, user, path[1], path[2], path[3], path[4]) == path[6]
end

-- A new URL for `user`, valid for its life, counted from the later of now and the start.
function _M.sign(user, round, product, entry, md5_wanted, now_ms)
    local expires = string.format("%.0f", min(max(now_ms, entry.opens_ms) + LIFE_MS, entry.ends_ms))
    if ffi.C.RAND_bytes(random_bytes, 8) ~= 1 then
        return nil
    end
    local nonce = tohex(random[0]) .. tohex(random[1])
    local key = keyring.first()
    return "/buy/" .. round .. "/" .. product .. "/" .. expires .. "/" .. nonce .. "/" .. key.kid .. "."
        .. digest(key, md5_wanted, user, round, product, expires, nonce)
end

return _M
