-- Counts permits, leases and winners of products, all at one moment.
--
-- KEYS  1  permits    counter of permits granted and not returned
--       2  leases     hash of open leases, lease id -> amount:taken_ms
--       3  winners    string of the winners' fingerprints (winners.lua)
--       4  info       hash; its field `limit` says how many permits there are
--       5  reopening  hash of items that are about to be for sale again (reopen.lua)
--       6… the same of further products
--
-- Replies, for each product in order, four numbers: permits granted, or -1 where the
-- counter is no number; leases open and items about to be for sale, or 1 where they cannot
-- be counted; winners' fingerprints, or 0 where there are none to be read; and the limit,
-- or -1 where it is not a number.
--
-- Keeps: nothing is written. "All are granted, no lease is open and nothing comes back" is
-- true of one moment; of two it would not mean that everything is sold.

local function count(command, key)
  local n = redis.pcall(command, key)
  return type(n) == 'number' and n
end

local function number(text)
  text = type(text) == 'string' and string.match(text, '^%d+$')
  return text and tonumber(text) or -1
end

local counts = {}
for i = 1, #KEYS, 5 do
  local leases, reopening = count('HLEN', KEYS[i + 1]), count('HLEN', KEYS[i + 4])
  counts[#counts + 1] = number(redis.pcall('GET', KEYS[i]) or '0')
  counts[#counts + 1] = leases and reopening and leases + reopening or 1
  counts[#counts + 1] = math.floor((count('STRLEN', KEYS[i + 2]) or 0) / 8)
  counts[#counts + 1] = number(redis.pcall('HGET', KEYS[i + 3], 'limit'))
end
return counts
