-- The names that may appear in a URL, a key and a log (core/src/ids.rs; the course
-- names no rule).

-- Compiled regular expressions: Lua's own patterns keep LuaJIT from compiling
-- the code around them.
local find = ngx.re.find
local gsub = ngx.re.gsub
local byte = string.byte
local format = string.format

local _M = {}

local function escape(match)
    return format("%%%02X", byte(match[0]))
end

-- A round or a product: 1 to 32 of A-Z a-z 0-9 _.
function _M.is_id(s)
    return find(s, "^[A-Za-z0-9_]{1,32}$", "jo") ~= nil
end

-- The written id of the buyer whom the shop's login names so: percent-encoded, as in
-- core/src/ids/user.rs. nil if the name is empty or longer than 255 bytes.
function _M.user(name)
    if #name < 1 or #name > 255 then
        return nil
    end
    if find(name, "^[A-Za-z0-9_.@+~-]+$", "jo") then
        return name
    end
    return (gsub(name, "[^A-Za-z0-9_.@+~-]", escape, "jo"))
end

-- A request id: 1 to 64 of A-Z a-z 0-9 _ -.
function _M.is_request(s)
    return find(s, "^[A-Za-z0-9_-]{1,64}$", "jo") ~= nil
end

return _M
