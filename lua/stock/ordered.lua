-- Writes the numbers of placed orders into the buyers' records, a batch of one segment
-- at a time.
--
-- KEYS  1  buyers     hash, user -> state|request|quantity|permit|order|at_ms[|reason]
-- ARGV  four for each order, a thousand orders at most:
--       4n+1  user     buyer
--       4n+2  request  request id of the purchase that the order was made from
--       4n+3  order    order number
--       4n+4  bought   when it was made, the record's at_ms: a buyer may use a
--                      request id again
--
-- Replies, one for each order
--    1  the record now says ordered
--    0  it said so (or further: paid, cancelled) already
--   -1  there is no such purchase: another request, or no record at all
--
-- Keeps: a record only moves forward, and only for the request that made it.

local users = {}
for at = 1, #ARGV, 4 do users[#users + 1] = ARGV[at] end
local records = redis.call('HMGET', KEYS[1], unpack(users))

local replies, changes = {}, {}
for n, record in ipairs(records) do
  local at = 4 * n
  local state, request, quantity, permit, at_ms = parse_record(record)
  if not state or request ~= ARGV[at - 2] or at_ms ~= ARGV[at] or state == 'failed' then
    replies[n] = -1
  elseif state ~= 'succeeded' then
    replies[n] = 0
  else
    replies[n] = 1
    changes[#changes + 1] = ARGV[at - 3]
    changes[#changes + 1] = record_of('ordered', request, quantity, permit, ARGV[at - 1], at_ms)
  end
end
if #changes > 0 then redis.call('HSET', KEYS[1], unpack(changes)) end
return replies
