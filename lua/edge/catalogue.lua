-- What is on sale (course §125: rounds, products and their limits are loaded
-- from Redis into memory before the sale).
--
-- Once a second one of the workers compares the catalogue's version and, when
-- it changed, writes the products into a shared dict; every worker keeps them
-- parsed until the version in the dict changes. The same pass reads how many
-- permits are granted, so that a product whose permits were returned sells again.

local redis = require("edge.redis")

local find = string.find
local match = string.match
local tonumber = tonumber

local products = ngx.shared.seckill_products
local counters = ngx.shared.seckill_counters

local INTERVAL_S = 1
-- A little less than the interval, so that another worker steps in at once.
local CLAIM_S = 0.9
-- Long, since no shopper waits for the catalogue.
local TIMEOUT_MS = 1000
-- How long "sold out" is remembered without a command to Redis.
local SOLD_OUT_S = 1
local BATCH = 500
local FIELDS = { "opens_ms", "ends_ms", "limit", "per_buyer" }

local _M = {}

-- The products as this worker parsed them: [round][product].
local entries = {}
local entries_version

local function parse(round, product, text)
    local entry = {}
    for i = 1, #FIELDS do
        entry[FIELDS[i]] = tonumber(match(text, '"' .. FIELDS[i] .. '"%s*:%s*(%d+)'))
        if not entry[FIELDS[i]] then
            return nil
        end
    end
    -- What an operator's stop switch says: "paused", "withdrawn", or nil.
    entry.halt = match(text, '"halt"%s*:%s*"([a-z]+)"')
    local item = round .. "::" .. product
    entry.item = item
    entry.permits = "seckill::{" .. item .. "}::permits"
    entry.sold_out = "sold_out:" .. item
    entry.take_one = redis.encode("INCRBY", entry.permits, 1)
    return entry
end

-- The product, or nil; the second value is whether the catalogue was ever read:
-- before that, an unknown product may exist.
function _M.find(round, product)
    local version = products:get("version")
    if version ~= entries_version then
        entries, entries_version = {}, version
    end
    if not version then
        return nil, false
    end
    local of_round = entries[round]
    local entry = of_round and of_round[product]
    if entry then
        return entry, true
    end
    local text = products:get(round .. "::" .. product)
    entry = text and parse(round, product, text)
    if entry then
        entries[round] = of_round or {}
        entries[round][product] = entry
    end
    return entry, true
end

-- Remembers for a short time that all permits of the product are granted.
function _M.remember_sold_out(entry, seconds)
    counters:set(entry.sold_out, true, seconds or SOLD_OUT_S)
end

function _M.is_sold_out(entry)
    return counters:get(entry.sold_out) ~= nil
end

-- The products that this worker listed last, and the version they have.
local listed = {}
local listed_version

-- Reads the products and their version, both of the same instant: of a Redis that is
-- emptied and filled again in between, a version read before is no version of what was
-- read.
local function list(connection)
    local all, err = redis.call(connection, redis.encode("HGETALL", "seckill::catalogue"))
    if not all then
        return nil, err
    end
    local now_listed, keep = {}, { version = true }
    local version = "none"
    for i = 1, #all, 2 do
        local name, text = all[i], all[i + 1]
        if name == "version" then
            version = text
        end
        local round, product = match(name, "^([A-Za-z0-9_]+)::([A-Za-z0-9_]+)$")
        local entry = round and parse(round, product, text)
        if entry then
            local ok, full = products:safe_set(name, text)
            if not ok then
                return nil, "lua_shared_dict seckill_products has no room for " .. name .. " (" .. full
                    .. "); make it larger"
            end
            keep[name] = true
            now_listed[#now_listed + 1] = entry
        elseif name ~= "version" then
            ngx.log(ngx.WARN, 'entry "', name, '" of the catalogue does not parse; approve its round again')
        end
    end
    for _, name in ipairs(products:get_keys(0)) do
        if not keep[name] then
            products:delete(name)
        end
    end
    products:set("version", version)
    listed, listed_version = now_listed, version
    return true
end

-- Reads how many permits are granted of each product that is on sale now.
local function count(connection)
    local now_ms = ngx.now() * 1000
    local batch = {}
    local function read_batch()
        local words = { "MGET" }
        for i = 1, #batch do
            words[i + 1] = batch[i].permits
        end
        local granted, err = redis.call(connection, redis.encode(unpack(words)))
        if not granted then
            return nil, err
        end
        for i = 1, #batch do
            -- A value that is no number grants nothing until it is corrected.
            local out = granted[i] == false and 0 or tonumber(granted[i]) or math.huge
            if out >= batch[i].limit then
                _M.remember_sold_out(batch[i], 2 * INTERVAL_S)
            else
                counters:delete(batch[i].sold_out)
            end
        end
        batch = {}
        return true
    end
    for i = 1, #listed do
        local entry = listed[i]
        if entry.opens_ms <= now_ms and now_ms < entry.ends_ms then
            batch[#batch + 1] = entry
        end
        if #batch == BATCH or (i == #listed and #batch > 0) then
            local ok, err = read_batch()
            if not ok then
                return nil, err
            end
        end
    end
    return true
end

local function refresh(connection)
    local version, err = redis.call(connection, redis.encode("HGET", "seckill::catalogue", "version"))
    if version == nil then
        return nil, err
    end
    version = version or "none"
    if version ~= listed_version or version ~= products:get("version") then
        local ok, failed = list(connection)
        if not ok then
            return nil, failed
        end
    end
    return count(connection)
end

local function refresh_once(is_leaving)
    if is_leaving or not counters:add("refreshing", true, CLAIM_S) then
        return
    end
    local connection, err = redis.connect(TIMEOUT_MS)
    if not connection then
        return redis.warn("the catalogue cannot be read", err)
    end
    local ok, failed = refresh(connection)
    if ok then
        redis.keep(connection)
    else
        connection:close()
        redis.warn("the catalogue cannot be read", failed)
    end
end

-- Starts to follow the catalogue in Redis; runs in init_worker_by_lua.
function _M.follow()
    ngx.timer.at(0, refresh_once)
    ngx.timer.every(INTERVAL_S, refresh_once)
end

-- The ids in /api/rounds/{round}/products/{product}{suffix}, or nil.
function _M.ids(path, suffix)
    local round, product, rest = match(path, "^/api/rounds/([A-Za-z0-9_]+)/products/([A-Za-z0-9_]+)(.*)$")
    if round and rest == suffix and #round <= 32 and #product <= 32 then
        return round, product
    end
end

return _M
