-- Counts the stock of a paid order as sold. The database has decided so before.
--
-- KEYS  1  stock     hash of the segment's three amounts
--       2  buyers    hash, user -> state|request|quantity|permit|order|at_ms[|reason]
--       3  outbox    stream of the segment's events
-- ARGV  1  user      buyer
--       2  request   request id of the purchase
--       3  bought    when it was made, the record's at_ms; with the request id it
--                    names the purchase, since a buyer may use an id again
--       4  order     order number
--       5  round     \
--       6  product    | copied into the event
--       7  segment   /
--
-- Replies
--    1  the items count as sold
--    0  this purchase was confirmed before; nothing is done again
--   -1  there is no such purchase on record, or the record says that it was released
--   error NOSTOCK   the segment lost its amounts, though not the record
--   error BADSTOCK  a key of the segment holds something else, or less is
--                   locked than the purchase has
--
-- Keeps: sale + locked + saled = preloaded; a purchase is confirmed at most
-- once, never after its release, and its event, which says what the three amounts are after it, is
-- in the outbox if and only if its stock moved.
-- All reads come before the first write, and the append, which can be refused,
-- before the rest.

local user, request, bought = ARGV[1], ARGV[2], ARGV[3]

-- A segment that is halted, or has no stock, has forgotten purchases: whether this is one
-- of them is known once it is put back.
local function unknown()
  local wrong = read_stock(KEYS[1])
  return wrong or -1
end

local record = redis.pcall('HGET', KEYS[2], user)
if type(record) == 'table' then return misplaced(KEYS[2], record) end
local stands, made_by, quantity, permit, at_ms = parse_record(record)
if made_by ~= request or at_ms ~= bought then return unknown() end
if stands == 'paid' then return 0 end
if stands ~= 'succeeded' and stands ~= 'ordered' then return unknown() end

local wrong, sale, locked, saled = read_stock(KEYS[1])
if wrong then return wrong end
if locked < tonumber(quantity) then
  return redis.error_reply("BADSTOCK key '" .. KEYS[1] .. "' has " .. locked
    .. ' locked, and a purchase of ' .. quantity .. " is to be confirmed; run 'seckill verify'")
end

local time = redis.call('TIME')
local now_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local appended = redis.pcall('XADD', KEYS[3], '*',
  'kind', 'confirm', 'v', '1', 'request', request, 'round', ARGV[5], 'product', ARGV[6],
  'segment', ARGV[7], 'user', user, 'quantity', quantity, 'permit', permit,
  'bought_ms', bought, 'order', ARGV[4], 'sale', sale, 'locked', locked - quantity,
  'saled', saled + quantity, 'at_ms', now_ms)
if type(appended) == 'table' then return misplaced(KEYS[3], appended) end
redis.call('HINCRBY', KEYS[1], 'locked_stock_amount', -quantity)
redis.call('HINCRBY', KEYS[1], 'saled_stock_amount', quantity)
redis.call('HSET', KEYS[2], user,
  record_of('paid', request, quantity, permit, ARGV[4], bought))
return 1
