-- Sets the count of permits to what purchases were made with, and what edges hold.
--
-- KEYS  1  permits  counter of permits granted and not returned
--       2  leases   hash of open leases, lease id -> amount:taken_ms
--       3  refunds  set of the refunds that were done
-- ARGV  1  bought   permits of purchases that count, without those of open leases
--       2  held     how many leases were open when that was counted
--       3… leases   these leases, then what was refunded
--
-- Replies  the new count, or -1 when other leases are open by now: nothing was done.
--
-- Keeps: the count is what is open and what was bought and not refunded.

local DAY_MS = 86400000
local held, open = tonumber(ARGV[2]), redis.call('HGETALL', KEYS[2])
if #open ~= 2 * held then return -1 end
for i = 3, 2 + held do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then return -1 end
end
local granted = tonumber(ARGV[1])
for i = 2, #open, 2 do granted = granted + (tonumber(string.match(open[i], '^(%d+):')) or 0) end
redis.call('SET', KEYS[1], string.format('%d', granted))
for i = 3 + held, #ARGV do redis.call('SADD', KEYS[3], ARGV[i]) end
if #ARGV > 2 + held then redis.call('PEXPIRE', KEYS[3], DAY_MS) end
return granted
