-- An edge reports what became of the permits of its leases: how many were used, and how
-- many it returns.
--
-- KEYS[1]  permits  counter of permits granted and not returned
-- KEYS[2]  leases   hash of open leases, lease id -> "amount:taken_ms"
-- KEYS[3]  reports  hash, lease id -> "used:returned", as last reported
-- ARGV     lease id, used, returned; again and again. Both numbers are totals of the
--          lease since it was taken.
--
-- Replies  how many permits went back in all.
--
-- Invariant: what goes back leaves the lease's amount in the same step, so that
-- closing the lease cannot give it back again. Because the numbers are totals, a report
-- may be repeated, arrive late or overtake another one. A lease whose every permit is
-- accounted for is closed; one that was closed before returns nothing.

local DAY_MS = 86400000

local back = 0
for i = 1, #ARGV, 3 do
  local lease = ARGV[i]
  local amount, taken_ms = string.match(redis.call('HGET', KEYS[2], lease) or '', '^(%d+):(%d+)$')
  if not amount then
    redis.call('HDEL', KEYS[3], lease)
  else
    amount = tonumber(amount)
    local before = redis.call('HGET', KEYS[3], lease) or '0:0'
    local used, returned = string.match(before, '^(%d+):(%d+)$')
    used = math.max(tonumber(used or '0'), tonumber(ARGV[i + 1]))
    local more = tonumber(ARGV[i + 2]) - tonumber(returned or '0')
    local granted = tonumber(redis.call('GET', KEYS[1]) or '0')
    local n = math.max(0, math.min(more, amount - used, granted))
    if n > 0 then redis.call('DECRBY', KEYS[1], n) end
    back = back + n
    amount = amount - n
    if amount <= used then
      redis.call('HDEL', KEYS[2], lease)
      redis.call('HDEL', KEYS[3], lease)
    else
      redis.call('HSET', KEYS[2], lease, string.format('%d:%s', amount, taken_ms))
      returned = math.max(tonumber(returned or '0'), tonumber(ARGV[i + 2]))
      redis.call('HSET', KEYS[3], lease, string.format('%d:%d', used, returned))
      redis.call('PEXPIRE', KEYS[3], DAY_MS)
    end
  end
end
return back
