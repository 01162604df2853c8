-- Takes the next events of a segment's outbox for a group that is done with them in
-- their order.
--
-- KEYS  1  outbox     stream of the segment's events
-- ARGV  1  group      the consumer group
--       2  consumer   the name under which all its readers read
--       3  most       how many events at most
--       4  hold_ms    how long a reader may hold what it took
--
-- Replies: the events, oldest first, as XRANGE does. None while a reader holds some:
-- those that are held for longer come first, also to the reader that took them.
--
-- Keeps: nobody is given an event before all that are older are acknowledged, or are
-- given to them too.

local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)
if held.err then return held end
if #held > 0 then
  if held[1][3] < tonumber(ARGV[4]) then return {} end
  return redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, '0', 'COUNT', ARGV[3])[2]
end
local new = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')
return new and new[1][2] or {}
