-- wrk script: posts the admitted clicks of a file (see clicks.pl), round and round, as an
-- edge passes them on: for the purchase role by itself.
--   wrk ... -s bench/lib/purchases.lua URL -- FILE
local purchases = {}
local at = 0

function init(args)
    for line in io.lines(args[1]) do
        local path, token, user, request, permit, admission =
            line:match("^(%S+)\t(%S+)\t(%S+)\t(%S+)\t(%S+)\t(%S+)$")
        assert(path, args[1] .. " has a line that is no admitted click: " .. line)
        purchases[#purchases + 1] = wrk.format("POST", path, {
            ["Content-Length"] = "0",
            ["Cookie"] = "seckill_session=" .. token,
            ["X-Seckill-User"] = user,
            ["X-Request-Id"] = request,
            ["X-Seckill-Permit"] = permit,
            ["X-Seckill-Arrival"] = tostring(#purchases + 1),
            ["X-Seckill-Admission"] = admission,
        })
    end
end

function request()
    at = at % #purchases + 1
    return purchases[at]
end
