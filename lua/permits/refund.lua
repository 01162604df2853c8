-- Gives back the permits of one admitted request that bought nothing.
--
-- KEYS  1  permits  counter of permits granted and not returned
--       2  refunds  set of the permit ids that were refunded
--       3  leases   hash, lease id -> amount:taken_ms
-- ARGV  1  permit   {edge}.{lease}.{n}, which is also the refund's id
--       2  lease    {edge}.{lease}
--       3  n        permits to give back
--
-- Replies: how many were given back; 0 when this refund was done before, or
-- when the lease is settled: its rest, this permit included, went back with it.
--
-- Keeps: a permit goes back once. While its lease is open, the refund takes it
-- out of the lease's amount, so that settling cannot give it back a second
-- time. The counter never falls below 0. The set is forgotten a day after the
-- last refund; the leases it speaks of are settled within seconds.

local DAY_MS = 86400000

local lease = redis.call('HGET', KEYS[3], ARGV[2])
if not lease then return 0 end
local amount, taken_ms = string.match(lease, '^(%d+):(%d+)$')
if not amount then
  return redis.error_reply("BADLEASE lease '" .. ARGV[2] .. "' of '" .. KEYS[3]
    .. "' reads '" .. lease .. "', not amount:taken_ms")
end
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('PEXPIRE', KEYS[2], DAY_MS)

local granted = tonumber(redis.call('GET', KEYS[1]) or '0')
local back = math.min(tonumber(ARGV[3]), tonumber(amount), granted)
if back > 0 then
  redis.call('HSET', KEYS[3], ARGV[2], string.format('%d:%s', amount - back, taken_ms))
  redis.call('DECRBY', KEYS[1], back)
end
return back
