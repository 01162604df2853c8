-- Returns permits of a lease that the edge will not spend.
--
-- KEYS[1]  permits  counter of permits granted and not returned
-- KEYS[2]  leases   hash of open leases, lease id -> "amount:taken_ms"
-- ARGV     lease id and permits, again and again: lease, n, lease, n, …
--
-- Replies  how many permits went back in all.
--
-- Invariant: what goes back leaves the lease's amount in the same step, so that
-- closing the lease cannot give it back again. A lease that was closed already
-- took its rest with it, and returns nothing. The caller has taken these permits out of
-- its hand first, and calls once: a call that is lost costs nothing, since the back end
-- closes the lease a little later.

local back = 0
for i = 1, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[2], ARGV[i])
  local amount, taken_ms = string.match(held or '', '^(%d+):(%d+)$')
  if amount then
    amount = tonumber(amount)
    local granted = tonumber(redis.call('GET', KEYS[1]) or '0')
    local n = math.max(0, math.min(tonumber(ARGV[i + 1]), amount, granted))
    if n == amount then
      redis.call('HDEL', KEYS[2], ARGV[i])
    else
      redis.call('HSET', KEYS[2], ARGV[i], string.format('%d:%s', amount - n, taken_ms))
    end
    if n > 0 then redis.call('DECRBY', KEYS[1], n) end
    back = back + n
  end
end
return back
