-- Takes a lease of permits for one item: as many as are asked for, or as many as
-- are left.
--
-- KEYS[1]  info     hash; its field `limit` says how many permits there are
-- KEYS[2]  permits  counter of permits granted and not returned
-- KEYS[3]  leases   hash of open leases, lease id -> "amount:taken_ms"
-- KEYS[4]  winners  string of the winners' fingerprints (winners.lua)
-- KEYS[5]  reopening  hash of items that are about to be for sale again (reopen.lua)
-- ARGV[1]  lease id, "{edge}.{lease}"
-- ARGV[2]  amount asked for, at least 1
-- ARGV[3]  hold, ms that the lease is kept on record for longer than others: the
--          edge spends it for that long even if Redis is away (renew.lua). 0, or
--          left out, for what is spent within two seconds.
--
-- Replies  { granted, permits now out, limit, open, winners }; granted is from 0 to the
--          amount, open the number of leases now open and of items about to be for sale,
--          winners that of fingerprints. With none open and as many permits out as the
--          limit says, every permit is known to be used: sold out.
--          A repeated call with a lease id that is on record grants nothing new
--          and replies what that lease holds.
-- Errors   "NOLIMIT": the item is not on sale (its info has no valid limit).
--          "BADCOUNT": somebody wrote something else into the counter.
--
-- Invariant: the counter never passes the limit, and every permit counted
-- stands in a lease, so that a crash at any point loses none.

local limit = tonumber(redis.call('HGET', KEYS[1], 'limit'))
if not limit or limit < 0 then
  return redis.error_reply('NOLIMIT ' .. KEYS[1] .. ' has no valid limit; approve the round again')
end
local amount = tonumber(ARGV[2])
local granted = tonumber(redis.call('GET', KEYS[2]) or '0')
if not granted or granted < 0 then
  return redis.error_reply('BADCOUNT ' .. KEYS[2]
    .. ' is not a count of permits; set it to what was sold, or delete it before the sale')
end

-- A key of another type at the reopenings counts as one, as in count.lua: by then the
-- lease is on record, and an error would keep it from the edge.
local function open()
  local reopening = redis.pcall('HLEN', KEYS[5])
  return redis.call('HLEN', KEYS[3]) + (type(reopening) == 'number' and reopening or 1)
end
local listed = redis.pcall('STRLEN', KEYS[4])
local winners = type(listed) == 'number' and math.floor(listed / 8) or 0
local held = redis.call('HGET', KEYS[3], ARGV[1])
if held then
  return { tonumber(string.match(held, '^%d+')), granted, limit, open(), winners }
end
local left = limit - granted
if left <= 0 then
  return { 0, granted, limit, open(), winners }
end
amount = math.min(amount, left)

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000) + (tonumber(ARGV[3]) or 0)
granted = redis.call('INCRBY', KEYS[2], amount)
redis.call('HSET', KEYS[3], ARGV[1], string.format('%d:%d', amount, now_ms))
return { amount, granted, limit, open(), winners }
