-- Tells the buyer's record that the order is in the database.
--
-- KEYS  1  buyers   hash, user -> state|request|quantity|permit|order|at_ms[|reason]
-- ARGV  1  user     buyer
--       2  request  request id of the purchase that the order was made from
--       3  order    order number
--       4  bought   when it was made, the record's at_ms: a buyer may use a
--                   request id again
--
-- Replies
--    1  the record now says ordered
--    0  it said so (or further: paid, cancelled) already
--   -1  there is no such purchase: another request, or no record at all
--
-- Keeps: a record only moves forward, and only for the request that made it.

local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return -1 end
local state, request, quantity, permit, at_ms =
  string.match(record, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|[^|]*|([^|]*)')
if request ~= ARGV[2] or at_ms ~= ARGV[4] or state == 'failed' then return -1 end
if state ~= 'succeeded' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1],
  'ordered|' .. request .. '|' .. quantity .. '|' .. permit .. '|' .. ARGV[3] .. '|' .. at_ms)
return 1
