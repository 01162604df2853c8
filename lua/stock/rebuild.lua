-- Puts a segment back to what ledger and orders say it must be, after its Redis
-- lost it.
--
-- KEYS  1  stock      hash of the segment's three amounts
--       2  buyers     hash, user -> record
--       3  spent      hash, lease id -> permits seen, or closed:seen; permit -> answer
--       4  outbox     stream of the segment's events
--       5  transit    hash of transfers that are on their way
--       6  transfers  hash of transfers that have arrived
--       7  written    hash of all records, written beforehand; it becomes the buyers
-- ARGV  1  seen       id of the last event that the plan was made with; 0-0 if none
--       2  stock      the three amounts it was made with, a|b|c, or - if none
--       3  after      the first event gets an id behind this one, ms
--       4  plan       JSON: amounts, a list of three; events, a list of lists of
--                     field, value, …; spent and transfers, objects
--
-- Replies
--   1  done
--   0  something has happened here since the plan was made: nothing was done
--
-- Keeps: a purchase meanwhile meets either the old segment or the new one, which is
-- halted until the count of permits is right too (halt.lua). The amounts are those of
-- the last event, a rebuild.

local last = '0-0'
if redis.call('EXISTS', KEYS[4]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[4])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
local names = { 'sale_stock_amount', 'locked_stock_amount', 'saled_stock_amount' }
local have = redis.call('HMGET', KEYS[1], unpack(names))
local stock = have[1] and have[2] and have[3] and table.concat(have, '|') or '-'
if last ~= ARGV[1] or stock ~= ARGV[2] then return 0 end

local plan = cjson.decode(ARGV[4])
-- A clock that is behind the lost Redis's must not put events before older ones.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local id = '*'
if tonumber(ARGV[3]) >= now_ms then id = string.format('%d-1', ARGV[3] + 1) end
for _, fields in ipairs(plan.events) do
  redis.call('XADD', KEYS[4], id, unpack(fields))
  id = '*'
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6])
for i, name in ipairs(names) do redis.call('HSET', KEYS[1], name, plan.amounts[i]) end
redis.call('HSET', KEYS[1], 'halted', 'rebuild')
if redis.call('EXISTS', KEYS[7]) == 1 then redis.call('RENAME', KEYS[7], KEYS[2]) end
for lease, seen in pairs(plan.spent) do redis.call('HSET', KEYS[3], lease, seen) end
for transfer, text in pairs(plan.transfers) do redis.call('HSET', KEYS[6], transfer, text) end
return 1
