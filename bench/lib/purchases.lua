-- wrk script: as clicks.lua, but every click brings a permit of one lease, as if an
-- edge had let it pass: for the purchase role by itself.
--   wrk ... -s bench/lib/purchases.lua URL -- FILE LEASE
assert(loadfile("bench/lib/clicks.lua"))()
local read_clicks = init
local number = 0

function init(args)
    local format, lease = wrk.format, args[2]
    wrk.format = function(method, path, headers)
        number = number + 1
        if headers then
            headers["X-Seckill-Permit"] = lease .. "." .. number
        end
        return format(method, path, headers)
    end
    read_clicks(args)
end
