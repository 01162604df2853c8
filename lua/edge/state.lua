-- A product's state from shared memory: what waiting pages poll (course §074
-- polls the time only; the state spares the gate the clicks that come too
-- late).
--
--   content_by_lua_block { require("edge.state").answer() }

local catalogue = require("edge.catalogue")
local verdict = require("edge.verdict")

local _M = {}

local function state(entry, now_ms)
    if entry.halt == "withdrawn" then
        return "withdrawn"
    elseif now_ms >= entry.ends_ms then
        return "ended"
    elseif entry.halt then
        return "paused"
    elseif now_ms < entry.opens_ms then
        return "scheduled"
    end
    return catalogue.is_sold_out(entry) and "sold_out" or "open"
end

function _M.answer()
    local round, product = catalogue.ids(ngx.var.uri, "/state")
    if not round or not verdict.is_read() then
        return verdict.refuse(verdict.bad_request)
    end
    local entry, is_read = catalogue.find(round, product)
    if not entry then
        return verdict.refuse(is_read and verdict.not_found or verdict.unavailable)
    end
    local now_ms = ngx.now() * 1000
    return verdict.answer(string.format('{"state":"%s","now_ms":%.0f,"opens_ms":%.0f,"ends_ms":%.0f}',
        state(entry, now_ms), now_ms, entry.opens_ms, entry.ends_ms))
end

return _M
