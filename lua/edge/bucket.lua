-- The system's limit (course §123-124): each second has a bucket of its own
-- with as many tokens as requests may pass in that second, kept in a shared
-- dict for all workers. With 50,000 for the site and two nginx, each has 25,000.
--
-- As with every counter of whole seconds, twice the rate can pass around a
-- change of second. The module's bucket has no such seam.

local time = ngx.time

local counters = ngx.shared.seckill_counters

local _M = {}

-- Takes a token from the bucket of this second; false if it is empty.
function _M.take(options)
    local rate = options.rate
    if not rate then
        return true
    end
    local second = time()
    if options.second ~= second then
        options.second = second
        options.key = options.bucket .. second
    end
    local taken, err = counters:incr(options.key, 1, 0, 2)
    if not taken then
        ngx.log(ngx.ERR, "lua_shared_dict seckill_counters cannot count requests: ", err, "; make it larger")
        return false
    end
    return taken <= rate
end

return _M
