-- Announces that items are about to be for sale again, so that nobody reads that the
-- product is sold out any more.
--
-- KEYS  1  permits    counter of permits granted and not returned
--       2  leases     hash of open leases, lease id -> amount:taken_ms
--       3  info       hash; its field `limit` says how many permits there are
--       4  refunds    set of the refunds that were done
--       5  reopening  hash, id -> since when, epoch ms by this clock
-- ARGV  1  known      for how long an edge says "sold out" by what it has read, in ms
--       2… ids        those of the refunds that will follow (refund.lua), or of another
--                     change, which is withdrawn by HDEL
--
-- Replies  how long to wait before the items go up for sale, in ms: until no edge says
--          "sold out" by what it read before. 0 where the product is not sold out, or the
--          refunds were all done.
--
-- Keeps: nothing of the permits changes. A reopening that stands does not begin anew by
-- announcing it again. What is never withdrawn, because the refund is lost with an outbox,
-- is forgotten ten minutes after the last reopening was announced.

local FORGOTTEN_MS = 600000

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local known_ms = tonumber(ARGV[1])

local since
for _, at_ms in ipairs(redis.call('HVALS', KEYS[5])) do
  since = math.min(since or now_ms, tonumber(at_ms) or now_ms)
end
local is_any = false
for i = 2, #ARGV do
  if redis.call('SISMEMBER', KEYS[4], ARGV[i]) == 0 then
    redis.call('HSETNX', KEYS[5], ARGV[i], string.format('%d', now_ms))
    is_any = true
  end
end
if not is_any then return 0 end
redis.call('PEXPIRE', KEYS[5], FORGOTTEN_MS)

local limit = tonumber(redis.call('HGET', KEYS[3], 'limit') or '')
local granted = tonumber(redis.call('GET', KEYS[1]) or '0')
if limit and granted and (granted < limit or redis.call('HLEN', KEYS[2]) > 0) then return 0 end
return math.max(0, known_ms - (now_ms - (since or now_ms)))
