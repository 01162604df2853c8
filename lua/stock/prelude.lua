-- What the stock scripts share: reading a segment's amounts, and reading and writing
-- its buyers' records. Not a script by itself: the back end puts this text before each
-- script that uses it when it loads the script.
--
-- A buyer's record   state|request|quantity|permit|order|at_ms, and |reason behind
--                    it once the stock went back. State is succeeded, ordered, paid,
--                    failed or cancelled; permit and order may be empty; at_ms is when
--                    the stock was locked. No field holds a bar.
--
-- It holds no more than these, because each function in it is made anew at every call,
-- also at every purchase.

-- The error reply for a key that holds something else; `reply` is what Redis said. What
-- Redis refuses for a reason of its own (it is full, a replica, cannot save) stays what
-- it is: it passes by itself.
local function misplaced(key, reply)
  local code = string.match(reply.err, '^%-?(%u+)')
  if code == 'OOM' or code == 'READONLY' or code == 'MISCONF' or code == 'NOREPLICAS' then
    return reply
  end
  return redis.error_reply("BADSTOCK key '" .. key .. "' cannot be used: " .. reply.err)
end

-- Whether a request is made that goes before those who come now; replay.lua says so.
local replayed = false

-- Whether the clock of this Redis has not reached this epoch ms.
local function is_before(ms)
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000 < ms
end

-- An error reply or nil, then sale, locked and saled of a segment. Saled stays text,
-- since most scripts only copy it. The fifth is the epoch ms until which only what was
-- journalled may be bought (resume.lua), nil if there is none. With the key of what the
-- segment has "forgotten", it counts as halted until then also while that waits to be made
-- again: for scripts that take items away.
local function read_stock(key, forgotten)
  local amounts = redis.pcall('HMGET', key,
    'sale_stock_amount', 'locked_stock_amount', 'saled_stock_amount', 'halted')
  if amounts.err then return misplaced(key, amounts) end
  if not amounts[1] then
    return redis.error_reply("NOSTOCK key '" .. key .. "' has no stock; if its Redis lost it, run 'seckill stock rebuild'")
  end
  local first_ms
  if amounts[4] then first_ms = tonumber(string.match(amounts[4], '^replays|(%d+)$')) end
  local waits = first_ms and forgotten and is_before(first_ms) and redis.call('EXISTS', forgotten) == 1
  if amounts[4] and not first_ms or waits then
    return redis.error_reply("HALTED key '" .. key .. "' is older than what was sold from it; it is healed from the database, or by 'seckill stock rebuild'")
  end
  local sale, locked = tonumber(amounts[1]), tonumber(amounts[2])
  if not (sale and locked and tonumber(amounts[3])) then
    return redis.error_reply("BADSTOCK key '" .. key .. "' has an amount that is no number")
  end
  return nil, sale, locked, amounts[3], first_ms
end

-- State, request, quantity, permit and at_ms of a record, all as text; nil if the record
-- is false (there is none) or malformed.
local function parse_record(record)
  return string.match(record or '', '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|[^|]*|([^|]*)')
end

-- The text of a record that has no reason.
local function record_of(state, request, quantity, permit, order, at_ms)
  return state .. '|' .. request .. '|' .. quantity .. '|' .. permit .. '|' .. order .. '|' .. at_ms
end
