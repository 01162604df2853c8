-- Moves a block of stock from one segment to another, in three steps that may
-- each be repeated: out of the source, into the destination, done at the source. Any
-- process that finds an unfinished transfer takes the steps that are missing.
--
-- KEYS  1  stock      hash of this segment's three amounts
--       2  transit    hash, transfer id -> items|destination|at_ms: what has left
--                     this segment and is not known to have arrived
--       3  transfers  hash, transfer id -> in|items|source or out|items|destination:
--                     what has arrived here, and what has arrived elsewhere
--       4  outbox     stream of this segment's events
--       5  forgotten  set of what waits to be made again
-- ARGV  1  step       out (at the source), in (at the destination), done (at the source)
--       2  id         transfer id, never used for another transfer
--       3  items      out: how many are wanted at least; in: how many are on the way
--       4  other      the segment at the other end
--       5  round     \
--       6  product    | copied into the event
--       7  segment   /
--
-- Replies
--   out   how many items left: at least as many as are wanted or half of what is
--         for sale if that is more, so that blocks shrink as the stock nears its
--         end; fewer if there are fewer; 0 if there are none. Repeated: the same
--         number while on the way, 0 once done.
--   in    1 if the items arrived now, 0 if they had arrived before
--   done  1 if the transfer was open, 0 if not
--   error NOSTOCK   the segment was never preloaded, or lost its data
--   error HALTED    the segment is halted, or (out) its items are for purchases that it
--                   has forgotten
--   error BADSTOCK  a key of the segment holds something else
--
-- Keeps: sale + locked + saled of all segments, and what stands in their transit
-- without standing in the destination's transfers, add up to what was preloaded.
-- All reads come before the first write, and the append, which can be refused,
-- before the rest.

local step, id, items = ARGV[1], ARGV[2], tonumber(ARGV[3])

local open = redis.pcall('HGET', KEYS[2], id)
if type(open) == 'table' then return misplaced(KEYS[2], open) end
local known = redis.pcall('HGET', KEYS[3], id)
if type(known) == 'table' then return misplaced(KEYS[3], known) end

if step == 'done' then
  if not open then return 0 end
  local moved, to = string.match(open, '^(%d+)|(%d+)|')
  redis.call('HSET', KEYS[3], id, 'out|' .. moved .. '|' .. to)
  redis.call('HDEL', KEYS[2], id)
  return 1
end
if known then return 0 end
if open then return tonumber(string.match(open, '^%d+')) end

local wrong, sale, locked, saled = read_stock(KEYS[1], step == 'out' and KEYS[5])
if wrong then return wrong end

local change = items
if step == 'out' then
  change = -math.min(sale, math.max(items, math.floor(sale / 2)))
  if change == 0 then return 0 end
end

local time = redis.call('TIME')
local at_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local appended = redis.pcall('XADD', KEYS[4], '*',
  'kind', 'transfer_' .. step, 'v', '1', 'request', id, 'round', ARGV[5], 'product', ARGV[6],
  'segment', ARGV[7], 'user', '', 'quantity', math.abs(change), 'other', ARGV[4],
  'sale', sale + change, 'locked', locked, 'saled', saled, 'at_ms', at_ms)
if type(appended) == 'table' then return misplaced(KEYS[4], appended) end
redis.call('HINCRBY', KEYS[1], 'sale_stock_amount', change)
if step == 'in' then
  redis.call('HSET', KEYS[3], id, 'in|' .. items .. '|' .. ARGV[4])
  return 1
end
redis.call('HSET', KEYS[2], id, -change .. '|' .. ARGV[4] .. '|' .. at_ms)
return -change
