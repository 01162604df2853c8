-- The time service (course §074): the edge's clock, for countdowns.
--
--   content_by_lua_block { require("edge.time").answer() }

local verdict = require("edge.verdict")

local _M = {}

function _M.answer()
    if not verdict.is_read() then
        return verdict.refuse(verdict.bad_request)
    end
    return verdict.answer(string.format('{"now_ms":%.0f}', ngx.now() * 1000))
end

return _M
