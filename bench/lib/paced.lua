-- wrk script: as clicks.lua, with a pause of each connection between two clicks,
-- and the latencies of the run at its end.
--   wrk ... -s bench/lib/paced.lua URL -- FILE PAUSE_MS
assert(loadfile("bench/lib/clicks.lua"))()
local read_clicks = init
local pause

function init(args)
    read_clicks(args)
    pause = tonumber(args[2])
end

function delay()
    return pause
end

function done(summary, latency)
    io.write(string.format("latency_us %d %d %d\n", latency:percentile(50), latency:percentile(99), summary.requests))
    io.write(string.format("not_2xx %d\n", summary.errors.status))
end
