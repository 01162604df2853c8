-- The names that may appear in a URL, a key and a log (core/src/ids.rs; the course
-- names no rule).

-- Compiled regular expressions: Lua's own patterns keep LuaJIT from compiling
-- the code around them.
local find = ngx.re.find

local _M = {}

-- A round or a product: 1 to 32 of A-Z a-z 0-9 _.
function _M.is_id(s)
    return find(s, "^[A-Za-z0-9_]{1,32}$", "jo") ~= nil
end

-- A user: 1 to 64 of A-Z a-z 0-9 _ . @ + -.
function _M.is_user(s)
    return find(s, "^[A-Za-z0-9_.@+-]{1,64}$", "jo") ~= nil
end

-- A request id: 1 to 64 of A-Z a-z 0-9 _ -.
function _M.is_request(s)
    return find(s, "^[A-Za-z0-9_-]{1,64}$", "jo") ~= nil
end

return _M
