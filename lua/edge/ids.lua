-- Which names may stand in a URL, a key and a log (core/src/ids.rs; the course
-- names no rule).

local find = string.find

local _M = {}

-- A round or a product: 1 to 32 of A-Z a-z 0-9 _.
function _M.is_id(s)
    return #s <= 32 and find(s, "^[A-Za-z0-9_]+$") ~= nil
end

-- A user: 1 to 64 of A-Z a-z 0-9 _ . @ + -.
function _M.is_user(s)
    return #s <= 64 and find(s, "^[A-Za-z0-9_.@+-]+$") ~= nil
end

-- A request id: 1 to 64 of A-Z a-z 0-9 _ -.
function _M.is_request(s)
    return #s <= 64 and find(s, "^[A-Za-z0-9_-]+$") ~= nil
end

return _M
