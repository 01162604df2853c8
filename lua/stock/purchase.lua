-- One purchase, in one atomic step: checks, deducts, records the buyer, and
-- appends the order message to the segment's outbox.
--
-- KEYS  1  stock     hash of the segment's three amounts
--       2  buyers    hash, user -> state|request|quantity|permit|order|at_ms
--       3  spent     hash, lease id -> permits seen, or closed:seen; permit -> sold_out or
--                    repeated, of each that is spent and that no buyer's record names
--       4  outbox    stream of the segment's events
--       5  pass      string of the captcha pass, if one is needed: the request
--                    that has spent it
-- ARGV  1  user      buyer
--       2  request   request id; the same click always carries the same one
--       3  quantity  items, a whole number from 1
--       4  permit    {edge}.{lease}.{n}, or empty when the edge was bypassed
--       5  lease     {edge}.{lease}, or empty
--       6  round     \
--       7  product    | copied into the order message
--       8  segment    |
--       9  price      / cents an item
--      10  gone      what to do if fewer items are left here than are wanted. 1: nothing,
--                    since other segments may have stock; 0: spend the permit; 2: leave
--                    it unspent, since more permits are out than there are items
--      11  keep      how long to remember that the pass is spent, in ms: until it has
--                    expired by everybody's clock; 0 if none is needed
--      12  returns   1 if the edge itself returns a permit that bought nothing; else an
--                    event asks for its refund
--      13  until     epoch ms until which the leases' counts are kept; 0 for ever
--       14  order     the number that its order gets; empty: whoever places it draws one
--       15… more fields of the event, name and value each: the trace it belongs to
--
-- Replies
--   accepted ID  stock is locked and the order is on its way; ID is its event
--   repeated   this request was accepted before; nothing is done again
--   again      the same, but with another permit, which bought nothing
--   captcha    the captcha pass was spent by another request
--   duplicate  the buyer has this product by another request
--   empty      fewer items are left here than are wanted, and other segments may
--              have more (gone is 1): nothing was done
--   sold_out   fewer items are left than are wanted
--   surplus    the same, and the permit was not spent (gone is 2)
--   busy       the lease of the permit was closed and its rest returned
--   error NOSTOCK   the segment was never preloaded
--   error BADSTOCK  a key of the segment holds something else
--   error HALTED    the segment is halted: its Redis has forgotten events
--
-- Keeps: sale + locked + saled = preloaded; at most one live purchase a buyer;
-- a purchase is in the outbox if and only if its stock is locked. Its event says
-- what the three amounts are after it.
-- A permit counts as spent when it locked stock, or met stock that was gone
-- and none elsewhere: somebody without a permit has taken its item. It is not spent if
-- more permits are out than there are items, or those that met no stock would stay out
-- for ever, and items that come back later would find no permit. The permit of a
-- duplicate, or of a pass that was spent, is not spent either: the edge returns it, or an
-- event asks for its refund; should the lease be closed before, it goes back with the
-- lease's rest.
-- A permit is spent once, however often its request is made: one whose reply was lost is
-- retried, by its edge at another back end or from a journal. The record of its buyer
-- names the permit that bought; one that met no stock, and one whose buyer has bought anew
-- since, is noted with the answer to give again.
-- A captcha pass is spent by the purchase that it let through, and by nothing
-- else; it is written for this buyer and product, hence always meets this segment.
-- All reads come before the first write, and writes that can be refused (the
-- count of the permit, the append) come first, so that an error never leaves half
-- a purchase.
--
-- It runs for every item that is sold, and is written to be fast: as few commands
-- as will do, and no number is handed to one, since Redis prints it with 17 digits
-- (five of them took a fifth of the time). The clock is read by the append, whose
-- entry bears it.

local GONE = { ['0'] = 'sold_out', ['1'] = 'empty', ['2'] = 'surplus' }

local number = ARGV[14] or ''
local user, request, quantity, permit, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local record = redis.pcall('HGET', KEYS[2], user)
if type(record) == 'table' then return misplaced(KEYS[2], record) end
local pass_spent = false
if KEYS[5] then
  pass_spent = redis.pcall('GET', KEYS[5])
  if type(pass_spent) == 'table' then return misplaced(KEYS[5], pass_spent) end
end

local told = lease ~= '' and redis.pcall('HGET', KEYS[3], permit)
if type(told) == 'table' then return misplaced(KEYS[3], told) end
-- A rebuild by the version before takes it for a lease.
if told ~= 'sold_out' and told ~= 'repeated' then told = false end

local state, made_by, made_with, _
if record then state, made_by, _, made_with = parse_record(record) end
local live = state == 'succeeded' or state == 'ordered' or state == 'paid'

if made_by == request or pass_spent or live then
  -- What a halted segment has on record is old.
  local wrong = read_stock(KEYS[1])
  if wrong then return wrong end
  local answer = made_by == request and 'repeated' or pass_spent and 'captcha' or 'duplicate'
  -- A retry on the very permit that bought keeps it; every other permit that
  -- comes here bought nothing.
  if lease ~= '' and permit ~= made_with then
    if told then return answer == 'repeated' and answer or told end
    if ARGV[12] == '1' then return answer == 'repeated' and 'again' or answer end
    local seen = redis.pcall('HGET', KEYS[3], lease)
    if type(seen) == 'table' then return misplaced(KEYS[3], seen) end
    if not (seen and string.sub(seen, 1, 7) == 'closed:') then
      redis.call('XADD', KEYS[4], '*', 'kind', 'refund', 'round', ARGV[6], 'product', ARGV[7],
        'permit', permit, 'lease', lease, 'quantity', ARGV[3], 'reason', answer)
    end
  end
  return answer
end

local wrong, sale, locked, saled, first_ms = read_stock(KEYS[1])
if wrong then return wrong end
if first_ms and not replayed and is_before(first_ms) then
  return redis.error_reply("HALTED key '" .. KEYS[1] .. "' first serves those who were told that they have an item; try again in a moment")
end

if told then return told end

local enough = sale >= quantity
if lease ~= '' and (enough or ARGV[10] == '0') then
  -- What is no number cannot be counted up: a closed lease.
  local counted = redis.pcall('HINCRBY', KEYS[3], lease, ARGV[3])
  if type(counted) == 'table' then
    local seen = redis.pcall('HGET', KEYS[3], lease)
    if type(seen) == 'string' and string.sub(seen, 1, 7) == 'closed:' then return 'busy' end
    return misplaced(KEYS[3], counted)
  end
  -- Once per lease.
  if counted == quantity and (ARGV[13] or '0') ~= '0' then redis.call('PEXPIREAT', KEYS[3], ARGV[13]) end
end
if not enough then
  if lease ~= '' and ARGV[10] == '0' then redis.call('HSET', KEYS[3], permit, GONE['0']) end
  return GONE[ARGV[10]]
end

local sale_after = string.format('%d', sale - quantity)
local locked_after = string.format('%d', locked + quantity)
local appended = redis.pcall('XADD', KEYS[4], '*',
  'kind', 'purchase', 'v', '1', 'request', request, 'round', ARGV[6], 'product', ARGV[7],
  'segment', ARGV[8], 'user', user, 'quantity', ARGV[3], 'price_cents', ARGV[9],
  'permit', permit, 'order', number, 'sale', sale_after, 'locked', locked_after, 'saled', saled,
  unpack(ARGV, 15))
if type(appended) == 'table' then
  if lease ~= '' then redis.call('HINCRBY', KEYS[3], lease, '-' .. ARGV[3]) end
  return misplaced(KEYS[4], appended)
end
redis.call('HSET', KEYS[1], 'sale_stock_amount', sale_after, 'locked_stock_amount', locked_after)
if (made_with or '') ~= '' then redis.pcall('HSET', KEYS[3], made_with, 'repeated') end
redis.call('HSET', KEYS[2], user,
  record_of('succeeded', request, ARGV[3], permit, number, string.match(appended, '^%d+')))
if KEYS[5] then redis.call('SET', KEYS[5], request, 'PX', ARGV[11]) end
return 'accepted ' .. appended
