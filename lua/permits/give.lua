-- Takes permits off the limit of an item, for items that another site is to sell.
--
-- KEYS[1]  info     hash; its field `limit` says how many permits there are
-- KEYS[2]  permits  counter of permits granted and not returned
-- KEYS[3]  giving   hash, transfer id -> permits that it took off the limit, with ! behind
--          the number once it is final; 0 once the amount set aside says so too
-- ARGV[1]  transfer  its id; the same call always carries the same one
-- ARGV[2]  most      permits to take off, at most; or `keep`: puts back those that edges
--                    still have
--
-- Replies  how many are off the limit by this transfer. Repeated, the same reply, and
--          nothing is done again.
-- Errors   "NOLIMIT": the item is not on sale (its info has no valid limit).
--
-- First the limit falls, perhaps below what is granted: edges then return what they keep
-- and do not need (core/src/permits/standby.rs). With `keep`, the limit rises again by what
-- they have not returned.
-- Invariant: after `keep`, permits granted do not pass the limit by this: behind every
-- permit that an edge has there is still an item here.

local before = redis.call('HGET', KEYS[3], ARGV[1])
local taken = tonumber(string.match(before or '', '^%d+'))
local limit = tonumber(redis.call('HGET', KEYS[1], 'limit') or '')

if ARGV[2] ~= 'keep' then
  if taken then return taken end
  if not limit or limit < 0 then
    return redis.error_reply('NOLIMIT ' .. KEYS[1] .. ' has no valid limit; approve the round again')
  end
  taken = math.min(tonumber(ARGV[2]), limit)
  redis.call('HSET', KEYS[3], ARGV[1], string.format('%d', taken))
  redis.call('HSET', KEYS[1], 'limit', string.format('%d', limit - taken))
  return taken
end

if not taken or string.sub(before, -1) == '!' or before == '0' then return taken or 0 end
if not limit then return redis.error_reply('NOLIMIT ' .. KEYS[1] .. ' has no valid limit; approve the round again') end
local granted = tonumber(redis.call('GET', KEYS[2]) or '0') or (limit + taken)
local back = math.min(taken, math.max(0, granted - limit))
redis.call('HSET', KEYS[3], ARGV[1], string.format('%d!', taken - back))
redis.call('HSET', KEYS[1], 'limit', string.format('%d', limit + back))
return taken - back
