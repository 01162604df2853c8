-- wrk script: posts the clicks of a file (see clicks.pl), round and round, from any one
-- on: of runs one behind the other, each too short for the whole file, all reach all.
--   wrk ... -s bench/lib/clicks.lua URL -- FILE
local clicks = {}
local at = 0

function init(args)
    for line in io.lines(args[1]) do
        local path, token, id = line:match("^(%S+)\t(%S*)\t?(%S*)$")
        -- Every buyer repeats one and the same request: a second one is refused as
        -- a second click. A third column says that a click has no id: like no other.
        local headers = { ["Content-Length"] = "0" }
        if id == "" then
            headers["Idempotency-Key"] = "bench"
        end
        -- A token of the shop's own login comes in a header.
        local bearer = token:match("^Bearer:(.+)")
        if bearer then
            headers["Authorization"] = "Bearer " .. bearer
        elseif token ~= "" then
            headers["Cookie"] = "seckill_session=" .. token
        end
        clicks[#clicks + 1] = wrk.format("POST", path, headers)
    end
    math.randomseed(os.time())
    at = math.random(#clicks)
end

function request()
    at = at % #clicks + 1
    return clicks[at]
end
