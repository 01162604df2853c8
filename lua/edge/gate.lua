-- The gate in front of the purchase (course §125): illegal requests first,
-- then the system's limit, then the product's limit; a request that passes all is proxied.
--
-- The order is that of core/src/gate.rs, cheapest refusal first: shape → expiry →
-- ended or sold out → signature → session → window → cap → bucket → permit. (This edge
-- does not know who was admitted: a buyer who repeats a request after the last item
-- was sold is refused like everybody.)
--
--   access_by_lua_block { require("edge.gate").pass() }
--   access_by_lua_block { require("edge.gate").pass("digest=md5 rate=100") }

local bucket = require("edge.bucket")
local catalogue = require("edge.catalogue")
local hidden_path = require("edge.hidden_path")
local ids = require("edge.ids")
local permits = require("edge.permits")
local session = require("edge.session")
local settings = require("edge.settings")
local verdict = require("edge.verdict")

local find = ngx.re.find
local get_method = ngx.req.get_method
local now = ngx.now
local refuse = verdict.refuse
local tonumber = tonumber
local var = ngx.var

local HORIZON_MS = hidden_path.HORIZON_MS
local U32_MAX = 4294967295

local _M = {}

-- Whether a body comes with the request.
local function has_body()
    local length = var.http_content_length
    return (length and tonumber(length) ~= 0) or var.http_transfer_encoding ~= nil
end

-- The query's quantity; nil if it is malformed.
local function quantity()
    local text = var.is_args == "?" and var.arg_quantity
    if not text then
        return 1
    end
    local number = find(text, "^[0-9]{1,10}$", "jo") and tonumber(text)
    return number and number >= 1 and number <= U32_MAX and number or nil
end

-- Decides without I/O: the product and the number of permits, or nil and the
-- verdict of the refusal.
local function screen(options)
    if get_method() ~= "POST" then
        return nil, verdict.bad_request
    end
    if has_body() then
        ngx.req.discard_body()
        return nil, verdict.bad_request
    end
    local path = hidden_path.parse(var.uri)
    local request = var.http_idempotency_key
    local wanted = quantity()
    if not path or not wanted or (request and not ids.is_request(request)) then
        return nil, verdict.bad_request
    end
    local now_ms = now() * 1000
    local expires_ms = tonumber(path[3])
    if now_ms >= expires_ms then
        return nil, verdict.expired
    elseif expires_ms > now_ms + HORIZON_MS then
        -- No URL is signed that far ahead.
        return nil, verdict.bad_signature
    end
    local entry, is_read = catalogue.find(path[1], path[2])
    if entry and entry.halt == "withdrawn" then
        return nil, verdict.withdrawn
    elseif entry and now_ms >= entry.ends_ms then
        return nil, verdict.ended
    elseif entry and entry.halt then
        return nil, verdict.paused
    elseif entry and now_ms >= entry.opens_ms and catalogue.is_sold_out(entry) then
        return nil, verdict.sold_out
    end
    local user, times, expires, kid, digest = session.claimed(options)
    if not user then
        return nil, verdict.login_required
    elseif not hidden_path.is_signed_for(user, path, options.md5) then
        return nil, verdict.bad_signature
    elseif not session.confirm(options, now_ms, user, times, expires, kid, digest) then
        return nil, verdict.login_required
    end
    if not entry then
        return nil, is_read and verdict.not_found or verdict.unavailable
    elseif now_ms < entry.opens_ms then
        return nil, verdict.too_early
    elseif wanted > entry.per_buyer then
        return nil, verdict.bad_request
    end
    return entry, wanted
end

-- Lets the request pass, or refuses it.
function _M.pass(text)
    local options = settings.of(text)
    local entry, wanted = screen(options)
    if not entry then
        return refuse(wanted)
    elseif not bucket.take(options) then
        return refuse(verdict.busy)
    end
    local is_granted = permits.take(entry, wanted)
    if not is_granted then
        return refuse(is_granted == nil and verdict.unavailable or verdict.sold_out)
    end
end

return _M
