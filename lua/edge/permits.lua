-- The product's limit (course §125): each request that may pass counts itself
-- with INCRBY, and is refused as sold out when the count goes over the limit.
--
-- An increment over the limit is reverted with DECRBY, so that the counter means
-- the same to both edges. There is no lease: a permit whose request is lost
-- between the count and the purchase stays lost, and until an increment is
-- reverted another request may be refused as sold out too early.

local catalogue = require("edge.catalogue")
local redis = require("edge.redis")

local encode = redis.encode
local call = redis.call

local _M = {}

local function failed(entry, connection, err, is_broken)
    redis.warn("permits of " .. entry.item .. " cannot be taken", err)
    if is_broken then
        connection:close()
    elseif connection then
        redis.keep(connection)
    end
    return nil
end

-- Takes permits: true, false when nothing is left, nil when Redis does not
-- reply (the outcome is then unknown).
function _M.take(entry, quantity)
    if catalogue.is_sold_out(entry) then
        return false
    end
    local connection, err = redis.connect()
    if not connection then
        return failed(entry, nil, err)
    end
    local request = quantity == 1 and entry.take_one or encode("INCRBY", entry.permits, quantity)
    local out, refused, is_broken = call(connection, request)
    if not out then
        return failed(entry, connection, refused, is_broken)
    end
    local is_granted = out <= entry.limit
    if not is_granted then
        local back
        back, refused, is_broken = call(connection, encode("DECRBY", entry.permits, quantity))
        if not back then
            return failed(entry, connection, refused, is_broken)
        end
        out = out - quantity
    end
    redis.keep(connection)
    -- Two may be refused where one would still pass: that is not sold out.
    if out >= entry.limit then
        catalogue.remember_sold_out(entry)
    end
    return is_granted
end

return _M
