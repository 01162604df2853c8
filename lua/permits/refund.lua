-- Returns permits that bought nothing, or whose purchase failed or was cancelled.
--
-- KEYS  1  permits  counter of permits granted and not returned
--       2  refunds  set of the refunds that were done
--       3  leases   hash, lease id -> amount:taken_ms
--       4  reopening  hash of items that are about to be for sale again (reopen.lua)
-- ARGV  1  refund   id of this refund: the permit {edge}.{lease}.{n}
--                   of a request that bought nothing, or the purchase that was
--                   released
--       2  lease    {edge}.{lease} of a permit that no segment counts as spent;
--                   empty for one that bought something, which does
--       3  n        permits to return; 0 for a purchase that had none
--
-- Replies: how many were returned; 0 when this refund was done before, or
-- when the lease is settled: its rest, this permit included, went back with it.
--
-- Keeps: a permit is returned once. An unspent one is taken out of its lease's
-- amount, so that settling cannot return it a second time; a spent one is
-- left out of every lease's rest, so that nothing else ever returns it. The
-- counter never falls below 0. The set is forgotten a day after the last
-- refund; an event is redelivered within seconds. That the items of a released
-- purchase come back is announced until this step, and not longer.

local DAY_MS = 86400000

local amount, taken_ms
if ARGV[2] ~= '' then
  local lease = redis.call('HGET', KEYS[3], ARGV[2])
  if not lease then return 0 end
  amount, taken_ms = string.match(lease, '^(%d+):(%d+)$')
  if not amount then
    return redis.error_reply("BADLEASE lease '" .. ARGV[2] .. "' of '" .. KEYS[3]
      .. "' reads '" .. lease .. "', not amount:taken_ms")
  end
end
-- A key of another type there must not keep the permit from going back.
redis.pcall('HDEL', KEYS[4], ARGV[1])
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('PEXPIRE', KEYS[2], DAY_MS)

local granted = tonumber(redis.call('GET', KEYS[1]) or '0')
local back = math.min(tonumber(ARGV[3]), granted)
if amount then
  back = math.min(back, tonumber(amount))
  if back > 0 then
    redis.call('HSET', KEYS[3], ARGV[2], string.format('%d:%s', amount - back, taken_ms))
  end
end
if back > 0 then redis.call('DECRBY', KEYS[1], back) end
return back
