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
--       3  n        permits to return
--       4  without  1 for a purchase that was made without a permit (no edge was in
--                   front, or its lease was long settled); else 0
--
-- Replies: how many were returned; 0 when this refund was done before, or
-- when the lease is settled: its rest, this permit included, went back with it.
-- Fewer than n for a purchase without a permit, if fewer are out.
--
-- Keeps: a permit is returned once. An unspent one is taken out of its lease's
-- amount, so that settling cannot return it a second time; a spent one is
-- left out of every lease's rest, so that nothing else ever returns it. The
-- counter never falls below 0. The set is forgotten a day after the last
-- refund; an event is redelivered within seconds. That the items of a released
-- purchase come back is announced until this step, and not longer.
--
-- A purchase without a permit takes an item that somebody else holds a permit for,
-- who then meets empty stock, and whose permit counts as spent. When the purchase is
-- released that permit goes back, or its item would be free while edges say "sold out".
-- If nobody met empty stock, one permit too many is out: its holder meets empty
-- stock at the purchase, and nothing is oversold. How many went back is remembered as
-- {refund}/{count} beside the refund, since the purchase itself does not say.

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
if ARGV[4] == '1' then redis.call('SADD', KEYS[2], string.format('%s/%d', ARGV[1], back)) end
return back
