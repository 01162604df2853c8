-- Counts permits, leases and winners of products, all at one moment.
--
-- KEYS  1  permits  counter of permits granted and not returned
--       2  leases   hash of open leases, lease id -> amount:taken_ms
--       3  winners  string of the winners' fingerprints (winners.lua)
--       4… the same of further products
--
-- Replies, for each product in order, three numbers: permits granted, or -1 where the
-- counter is no number; leases open, or 1 where they cannot be counted; and winners'
-- fingerprints, or 0 where there are none to be read.
--
-- Keeps: nothing is written. "All are granted and no lease is open" is true of one
-- moment; of two it would not mean that everything is sold.

local counts = {}
for i = 1, #KEYS, 3 do
  local granted = redis.pcall('GET', KEYS[i])
  if not granted then granted = '0' end
  granted = type(granted) == 'string' and string.match(granted, '^%d+$')
  local open = redis.pcall('HLEN', KEYS[i + 1])
  counts[i] = granted and tonumber(granted) or -1
  counts[i + 1] = type(open) == 'number' and open or 1
  local bytes = redis.pcall('STRLEN', KEYS[i + 2])
  counts[i + 2] = type(bytes) == 'number' and math.floor(bytes / 8) or 0
end
return counts
