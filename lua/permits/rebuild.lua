-- Sets the count of permits to what purchases were made with, and what edges hold.
--
-- KEYS  1  permits   counter of permits granted and not returned
--       2  leases    hash of open leases, lease id -> amount:taken_ms
--       3  refunds   set of the refunds that were done
-- ARGV  1  returned  how many of the permits spent were given back
--       2  leases    how many leases follow
--       3… spent     lease id and permits spent of it, again and again; then what was
--                    refunded
--
-- Replies  the new count.
--
-- Keeps: the count is what is open and what was spent of other leases and not refunded.
-- Which leases are open is read here, since edges take and return them all the time;
-- what was spent of each must not change meanwhile: the segments are halted.

local DAY_MS = 86400000
local open, granted = {}, -tonumber(ARGV[1])
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  open[all[i]] = true
  granted = granted + (tonumber(string.match(all[i + 1], '^(%d+):')) or 0)
end
local first_refund = 3 + 2 * tonumber(ARGV[2])
for i = 3, first_refund - 1, 2 do
  if not open[ARGV[i]] then granted = granted + tonumber(ARGV[i + 1]) end
end
granted = math.max(granted, 0)
redis.call('SET', KEYS[1], string.format('%d', granted))
for i = first_refund, #ARGV do redis.call('SADD', KEYS[3], ARGV[i]) end
if #ARGV >= first_refund then redis.call('PEXPIRE', KEYS[3], DAY_MS) end
return granted
