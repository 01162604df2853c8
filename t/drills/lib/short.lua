-- wrk script: as clicks.lua, each click on a connection of its own, and counts what the
-- responses were. Prints "responses N, failed M": failed is what is no verdict (5xx), and
-- what did not come.
--   wrk ... -s bench/lib/short.lua URL -- FILE
assert(loadfile("bench/lib/clicks.lua"))()
local read_clicks = init
local threads = {}
answered, failed = 0, 0

function setup(thread) threads[#threads + 1] = thread end

function init(args)
    local format = wrk.format
    wrk.format = function(method, path, headers)
        if headers then headers["Connection"] = "close" end
        return format(method, path, headers)
    end
    read_clicks(args)
end

function response(status)
    answered = answered + 1
    if status >= 500 then failed = failed + 1 end
end

function done(summary)
    local all, bad = 0, 0
    for _, thread in ipairs(threads) do
        all = all + thread:get("answered")
        bad = bad + thread:get("failed")
    end
    local errors = summary.errors
    bad = bad + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("responses %d, failed %d\n", all, bad))
end
