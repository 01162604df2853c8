-- Hands out the hidden URL (course §075: from one minute before the start).
--
--   content_by_lua_block { require("edge.path").answer() }

local catalogue = require("edge.catalogue")
local hidden_path = require("edge.hidden_path")
local session = require("edge.session")
local settings = require("edge.settings")
local verdict = require("edge.verdict")

local _M = {}

local function hand_out(options)
    local round, product = catalogue.ids(ngx.var.uri, "/path")
    if not round or not verdict.is_read() then
        return nil, verdict.bad_request
    end
    local now_ms = ngx.now() * 1000
    local user, times, expires, kid, digest = session.claimed(options)
    if not user or not session.confirm(options, now_ms, user, times, expires, kid, digest) then
        return nil, verdict.login_required
    end
    local entry, is_read = catalogue.find(round, product)
    if not entry then
        return nil, is_read and verdict.not_found or verdict.unavailable
    elseif entry.halt == "withdrawn" then
        return nil, verdict.withdrawn
    elseif now_ms >= entry.ends_ms then
        return nil, verdict.ended
    elseif entry.halt then
        return nil, verdict.paused
    elseif now_ms + hidden_path.LEAD_MS < entry.opens_ms then
        return nil, verdict.too_early
    end
    local path = hidden_path.sign(user, round, product, entry, options.md5, now_ms)
    if not path then
        return nil, verdict.unavailable
    end
    return string.format('{"path":"%s","opens_ms":%.0f}', path, entry.opens_ms)
end

function _M.answer(text)
    local body, refusal = hand_out(settings.of(text))
    if not body then
        return verdict.refuse(refusal)
    end
    return verdict.answer(body)
end

return _M
