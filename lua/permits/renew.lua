-- An edge keeps leases for the time when Redis is away: their records are to stay
-- for that long, counted from now.
--
-- KEYS[1]  leases   hash of open leases, lease id -> "amount:taken_ms"
-- ARGV[1]  hold     ms from now for which the edge may spend them
-- ARGV[2…] leases   lease ids
--
-- Replies  for each lease, in order, 1, or 0 when it is not on record: then the
--          edge must not spend it.
--
-- Invariant: only the time of a lease changes. It lies ahead of the clock by the
-- hold, so that a process that closes leases some seconds after they were taken does
-- so that long after the edge has stopped spending.

local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local kept = {}
for i = 2, #ARGV do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  local amount = string.match(held or '', '^(%d+):')
  if amount then
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%s:%d', amount, until_ms))
  end
  kept[i - 1] = amount and 1 or 0
end
return kept
