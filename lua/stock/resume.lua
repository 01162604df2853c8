-- Lets a segment that was halted sell again: at first only what waits in journals, what it
-- has forgotten before the rest (replay.lua), and then to everybody.
--
-- KEYS  1  stock      hash of the segment's three amounts, and of why it is halted
--       2  forgotten  set of what waits to be made again
--       3  given_up   set of what is not waited for any more; kept for seven days
-- ARGV  1  first  for how long, in ms, only what was journalled may be bought; empty to
--                 end that
--
-- Replies two numbers, the second of which says how much is not made again yet
--   1  done, or it replays already, for as long as it was told then
--   0  the segment has no stock, was not halted, or was halted anew
--  -1  not ended: something is to be made again, and there is time left for it
--
-- Keeps: whoever was told that they have an item, which the Redis then forgot, is served
-- before those who come now. Should nobody end that time, it ends by itself, by the clock
-- of this Redis. What is not made again when it is over is not waited for any more, here or
-- when the segment is halted the next time.

local halted = redis.call('HGET', KEYS[1], 'halted')
if not halted then return { 0, 0 } end
local left = redis.call('SCARD', KEYS[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms = string.match(halted, '^replays|(%d+)$')
if ARGV[1] ~= '' then
  if not until_ms then
    redis.call('HSET', KEYS[1], 'halted', string.format('replays|%d', now_ms + tonumber(ARGV[1])))
  end
  return { 1, left }
end
if not until_ms then return { 0, 0 } end
if left > 0 and now_ms < tonumber(until_ms) then return { -1, left } end
if left > 0 then
  redis.call('SUNIONSTORE', KEYS[3], KEYS[3], KEYS[2])
  redis.call('EXPIRE', KEYS[3], 7 * 86400)
end
redis.call('DEL', KEYS[2])
redis.call('HDEL', KEYS[1], 'halted')
return { 1, left }
