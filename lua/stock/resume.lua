-- Lets a segment that was halted sell again: at first only what waits in journals, what it
-- has forgotten before the rest (replay.lua), and then to everybody.
--
-- KEYS  1  stock  hash of the segment's three amounts, and of why it is halted
-- ARGV  1  first  for how long, in ms, only what was journalled may be bought; 0 to end
--                 that
--
-- Replies
--   1  done
--   0  the segment has no stock, was not halted, or was halted anew
--
-- Keeps: whoever was told that they have an item, which the Redis then forgot, is served
-- before those who come now. Should nobody end that time, it ends by itself, by the clock
-- of this Redis.

local halted = redis.call('HGET', KEYS[1], 'halted')
if not halted then return 0 end
if ARGV[1] ~= '0' then
  local time = redis.call('TIME')
  local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
  redis.call('HSET', KEYS[1], 'halted', string.format('replays|%d', until_ms))
  return 1
end
if string.sub(halted, 1, 8) ~= 'replays|' then return 0 end
redis.call('HDEL', KEYS[1], 'halted')
return 1
