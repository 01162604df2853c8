-- The settings of the Lua edge: once in http{} (redis, key ring, rate) and, where
-- a location differs, in that location.
--
-- Course §125: what Lua must know before the sale is loaded into memory ahead
-- of it. `open` runs in init_by_lua, so that a wrong setting stops `nginx -t`
-- with a sentence that says what is right.

local keyring = require("edge.keyring")

local floor = math.floor
local gmatch = string.gmatch
local match = string.match
local tonumber = tonumber

local _M = {
    -- Address and options of Redis; see open().
    redis = nil,
    -- The options of a location that sets none.
    defaults = nil,
}

local function wrong(...)
    error("seckill Lua edge: " .. string.format(...), 0)
end

-- "127.0.0.1:6379 password=x db=1 timeout=50ms" or "unix:/path ..." as a table.
local function redis_address(text)
    local address, rest = match(text or "", "^(%S+)(.*)$")
    if not address then
        wrong('redis is missing; write redis = "127.0.0.1:6379" or redis = "unix:/path/redis.sock"')
    end
    local to = { db = 0, timeout_ms = 50 }
    if match(address, "^unix:/") then
        to.host = address
    else
        to.host, to.port = match(address, "^(.+):(%d+)$")
        to.port = tonumber(to.port)
        if not to.port then
            wrong('redis address "%s" must be host:port or unix:/path', address)
        end
    end
    for name, value in gmatch(rest, "(%S-)=(%S+)") do
        local amount, unit = match(value, "^(%d+)(m?s)$")
        if name == "password" then
            to.password = value
        elseif name == "db" and match(value, "^%d+$") then
            to.db = tonumber(value)
        elseif name == "timeout" and amount then
            to.timeout_ms = tonumber(amount) * (unit == "s" and 1000 or 1)
        else
            wrong('redis argument "%s" is wrong; known are password=, db=1 and timeout=50ms', name)
        end
    end
    return to
end

-- The options of a location: "digest=md5 rate=25000 user=http_x_member".
local function parse(text)
    local options = { bucket = "bucket:" .. text .. ":" }
    for word in gmatch(text, "%S+") do
        local name, value = match(word, "^(%w+)=(.+)$")
        local rate = tonumber(value)
        if name == "digest" and (value == "md5" or value == "hmac-sha256") then
            options.md5 = value == "md5"
        elseif name == "rate" and rate and rate >= 1 and rate == floor(rate) then
            options.rate = rate
        elseif name == "user" and match(value, "^[%w_]+$") then
            -- The name of an nginx variable, without its dollar.
            options.user_variable = value
        else
            wrong('option "%s" is wrong; known are digest=md5, digest=hmac-sha256, '
                .. "rate=25000 (requests a second) and user=http_x_member (a variable without its $)", word)
        end
    end
    return options
end

local known = {}

-- The options that a location named, parsed once in each worker.
function _M.of(text)
    if not text then
        return _M.defaults
    end
    local options = known[text]
    if not options then
        options = parse(text)
        options.rate = options.rate or _M.defaults.rate
        known[text] = options
    end
    return options
end

-- open{ redis = "...", keys = "/etc/seckill/keys", options = "rate=25000" }
function _M.open(given)
    for name in pairs(given) do
        if name ~= "redis" and name ~= "keys" and name ~= "options" then
            wrong('setting "%s" is unknown; known are redis, keys and options', name)
        end
    end
    _M.redis = redis_address(given.redis)
    _M.defaults = parse(given.options or "")
    local ok, err = keyring.load(given.keys)
    if not ok then
        wrong("%s", err)
    end
end

return _M
