-- Puts the stock of a purchase up for sale again: its order was cancelled, none could
-- be placed, or it was paid and its money returned. The database has decided so before.
--
-- KEYS  1  stock     hash of the segment's three amounts
--       2  buyers    hash, user -> state|request|quantity|permit|order|at_ms[|reason]
--       3  outbox    stream of the segment's events
-- ARGV  1  user      buyer
--       2  request   request id of the purchase
--       3  bought    when it was made, the record's at_ms; with the request id it
--                    names the purchase, since a buyer may use an id again
--       4  state     failed (no order was placed) or cancelled
--       5  reason    one word for the buyer and the ledger; refunded, withdrawn and
--                    operator are those for which what counts as sold is for sale
--                    again
--       6  order     order number, or empty
--       7  round     \
--       8  product    | copied into the event
--       9  segment   /
--
-- Replies
--    1  the stock is for sale again, and the buyer may buy again
--    0  this purchase was released before; nothing is done again
--   -1  there is no such purchase on record, or the record says that it is paid
--   error NOSTOCK   the segment lost its amounts, though not the record
--   error BADSTOCK  a key of the segment holds something else, or less is
--                   locked, or sold, than the purchase has
--
-- Keeps: sale + locked + saled = preloaded; a purchase is released or confirmed
-- at most once, or confirmed and then returned, and its event (release or return), which says what the three amounts are after it, is
-- in the outbox if and only if its stock moved.
-- The event requests the refund of the permit too, which the relay does once.
-- All reads come before the first write, and the append, which can be refused,
-- before the rest.

local user, request, bought, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

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
if stands == 'failed' or stands == 'cancelled' then return 0 end
local reason = ARGV[5]
local sold = stands == 'paid'
  and (reason == 'refunded' or reason == 'withdrawn' or reason == 'operator')
if not sold and stands ~= 'succeeded' and stands ~= 'ordered' then return unknown() end

local wrong, sale, locked, saled = read_stock(KEYS[1])
if wrong then return wrong end
local bound = sold and tonumber(saled) or locked
if bound < tonumber(quantity) then
  return redis.error_reply("BADSTOCK key '" .. KEYS[1] .. "' has " .. bound
    .. (sold and ' sold' or ' locked') .. ', and a purchase of ' .. quantity
    .. " is to be released; run 'seckill verify'")
end
local kind, taken = 'release', 'locked_stock_amount'
if sold then
  kind, taken, saled = 'return', 'saled_stock_amount', saled - quantity
else
  locked = locked - quantity
end

local time = redis.call('TIME')
local now_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local appended = redis.pcall('XADD', KEYS[3], '*',
  'kind', kind, 'v', '1', 'request', request, 'round', ARGV[7], 'product', ARGV[8],
  'segment', ARGV[9], 'user', user, 'quantity', quantity, 'permit', permit,
  'bought_ms', bought, 'order', ARGV[6], 'state', state, 'reason', ARGV[5],
  'sale', sale + quantity, 'locked', locked, 'saled', saled, 'at_ms', now_ms)
if type(appended) == 'table' then return misplaced(KEYS[3], appended) end
redis.call('HINCRBY', KEYS[1], taken, -quantity)
redis.call('HINCRBY', KEYS[1], 'sale_stock_amount', quantity)
redis.call('HSET', KEYS[2], user,
  record_of(state, request, quantity, permit, ARGV[6], bought) .. '|' .. ARGV[5])
return 1
