-- Counts permits and leases of products, all at one moment.
--
-- KEYS  1  permits  counter of permits granted and not returned
--       2  leases   hash of open leases, lease id -> amount:taken_ms
--       3… the same of further products
--
-- Replies, for each product in order, two numbers: permits granted, or -1 where the
-- counter is no number; and leases open, or 1 where they cannot be counted.
--
-- Keeps: nothing is written. "All are granted and no lease is open" is true of one
-- moment; of two it would not mean that everything is sold.

local counts = {}
for i = 1, #KEYS, 2 do
  local granted = redis.pcall('GET', KEYS[i])
  if not granted then granted = '0' end
  granted = type(granted) == 'string' and string.match(granted, '^%d+$')
  local open = redis.pcall('HLEN', KEYS[i + 1])
  counts[i] = granted and tonumber(granted) or -1
  counts[i + 1] = type(open) == 'number' and open or 1
end
return counts
