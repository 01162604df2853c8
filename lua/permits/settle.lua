-- Settles closed leases: returns the permits for which no purchase arrived.
--
-- KEYS  1  permits  counter of permits granted and not returned
--       2  leases   hash, lease id -> amount:taken_ms
-- ARGV  lease id and permits seen of it, again and again: lease, spent, lease, spent, …
--
-- Replies: for each lease, in order, how many permits were returned, or -1
-- when it had been settled before.
--
-- Keeps: each lease is settled once, since its entry goes in the same step as
-- its permits. The counter never falls below 0. Every segment must have closed
-- the lease before (lua/stock/close_lease.lua), or a purchase could still come.

local back = {}
for i = 1, #ARGV, 2 do
  local lease = redis.call('HGET', KEYS[2], ARGV[i])
  if not lease then
    back[#back + 1] = -1
  else
    -- A malformed entry returns nothing and is removed: it would otherwise stay overdue
    -- for ever.
    local amount = tonumber(string.match(lease, '^(%d+):%d+$') or '0')
    local granted = tonumber(redis.call('GET', KEYS[1]) or '0')
    local rest = math.max(0, math.min(amount - tonumber(ARGV[i + 1]), granted))
    if rest > 0 then redis.call('DECRBY', KEYS[1], rest) end
    redis.call('HDEL', KEYS[2], ARGV[i])
    back[#back + 1] = rest
  end
end
return back
