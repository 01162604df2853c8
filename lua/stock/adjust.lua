-- Changes how many items a segment has, by an operator's order during a sale.
--
-- KEYS  1  stock        hash of the segment's three amounts
--       2  adjustments  hash, request id -> the change that was made
--       3  outbox       stream of the segment's events
--       4  forgotten    set of what waits to be made again
-- ARGV  1  request      request id; the same change always carries the same one
--       2  change       items to add, or, below 0, to take off the sale
--       3  round     \
--       4  product    | copied into the event
--       5  segment   /
--
-- Replies
--   the change that was made: all of it, or, below 0, as much as was still for
--   sale; what is locked or sold stays. Repeated, the same reply, and nothing is
--   done again.
--   error NOSTOCK   the segment was never preloaded, or lost its data
--   error BADSTOCK  a key of the segment holds something else
--   error HALTED    the segment is halted, or (below 0) its items are for purchases that
--                   it has forgotten
--
-- Keeps: sale + locked + saled = preloaded + all adjustments; no amount falls
-- below 0. All reads come before the first write, and the append, which can be
-- refused, before the rest.

local request, change = ARGV[1], tonumber(ARGV[2])

if not change or change ~= math.floor(change) or math.abs(change) > 999999999999999 then
  return redis.error_reply("BADSTOCK change '" .. ARGV[2] .. "' is not a whole number")
end
local before = redis.pcall('HGET', KEYS[2], request)
if type(before) == 'table' then return misplaced(KEYS[2], before) end
if before then return tonumber(before) end

local wrong, sale, locked, saled = read_stock(KEYS[1], change < 0 and KEYS[4])
if wrong then return wrong end
change = math.max(change, -sale)

if change ~= 0 then
  local time = redis.call('TIME')
  local at_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
  local appended = redis.pcall('XADD', KEYS[3], '*',
    'kind', 'adjust', 'v', '1', 'request', request, 'round', ARGV[3], 'product', ARGV[4],
    'segment', ARGV[5], 'user', '', 'quantity', string.format('%d', change),
    'sale', string.format('%d', sale + change), 'locked', locked, 'saled', saled, 'at_ms', at_ms)
  if type(appended) == 'table' then return misplaced(KEYS[3], appended) end
  redis.call('HINCRBY', KEYS[1], 'sale_stock_amount', string.format('%d', change))
end
redis.call('HSET', KEYS[2], request, string.format('%d', change))
return change
