-- wrk script: posts the clicks of a file (see clicks.pl), round and round.
--   wrk ... -s bench/lib/clicks.lua URL -- FILE
local clicks = {}
local at = 0

function init(args)
    for line in io.lines(args[1]) do
        local path, token = line:match("^(%S+)\t(%S*)$")
        -- Every buyer repeats one and the same request: a second one is refused as
        -- a second click.
        local headers = { ["Content-Length"] = "0", ["Idempotency-Key"] = "bench" }
        if token ~= "" then
            headers["Cookie"] = "seckill_session=" .. token
        end
        clicks[#clicks + 1] = wrk.format("POST", path, headers)
    end
end

function request()
    at = at % #clicks + 1
    return clicks[at]
end
