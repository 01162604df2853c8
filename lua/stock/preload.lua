-- Gives a segment its stock, once.
--
-- KEYS  1  stock     hash of the segment's three amounts
--       2  outbox    stream of the segment's events
-- ARGV  1  amount    items to put up for sale, a whole number from 0
--       2  round     \
--       3  product    | copied into the event
--       4  segment   /
--
-- Replies
--   1  the stock was put in place
--   0  it was there already and was left as it is: running an approval again
--      must never give back what has been sold
--   error BADSTOCK  the key holds something else, or only some of the amounts
--
-- Keeps: sale + locked + saled = preloaded. Nothing is ever set twice, and the
-- event is the segment's first.

local amount = ARGV[1]
if not string.find(amount, '^%d+$') or #amount > 15 then
  return redis.error_reply("BADSTOCK amount '" .. amount .. "' is not a whole number from 0 to 999999999999999")
end

local kind = redis.call('TYPE', KEYS[1])['ok']
if kind == 'none' then
  local time = redis.call('TIME')
  local at_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
  local appended = redis.pcall('XADD', KEYS[2], '*', 'kind', 'preload', 'v', '1', 'request', 'preload',
    'round', ARGV[2], 'product', ARGV[3], 'segment', ARGV[4], 'user', '', 'quantity', amount,
    'sale', amount, 'locked', 0, 'saled', 0, 'at_ms', at_ms)
  if type(appended) == 'table' then return misplaced(KEYS[2], appended) end
  redis.call('HSET', KEYS[1],
    'sale_stock_amount', amount, 'locked_stock_amount', 0, 'saled_stock_amount', 0)
  return 1
end
if kind ~= 'hash' then
  return redis.error_reply("BADSTOCK key '" .. KEYS[1] .. "' is a " .. kind
    .. ", not a hash; remove it and approve the round again")
end
local have = redis.call('HMGET', KEYS[1],
  'sale_stock_amount', 'locked_stock_amount', 'saled_stock_amount')
if not (have[1] and have[2] and have[3]) then
  return redis.error_reply("BADSTOCK key '" .. KEYS[1]
    .. "' lacks one of its three amounts; rebuild the stock of this segment")
end
return 0
