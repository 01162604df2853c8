-- An edge is known to have died: the leases that it might have spent while Redis is away
-- end now.
--
-- KEYS     leases    hashes of open leases, one for each product, lease id -> "amount:taken_ms"
-- ARGV[1]  identity  the edge's part of its lease ids, "{node}.{identity}-{number}"
--
-- Replies  how many leases ended.
--
-- Invariant: only the time of a lease changes, and only from ahead of the clock to now
-- (renew.lua). It is closed like any other, once no request of it can be under way.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ended = 0
for _, key in ipairs(KEYS) do
  local leases = redis.call('HGETALL', key)
  for i = 1, #leases, 2 do
    local amount, taken_ms = string.match(leases[i + 1], '^(%d+):(%d+)$')
    if amount and tonumber(taken_ms) > now_ms
      and string.find(leases[i], '.' .. ARGV[1] .. '-', 1, true) then
      redis.call('HSET', key, leases[i], string.format('%s:%d', amount, now_ms))
      ended = ended + 1
    end
  end
end
return ended
