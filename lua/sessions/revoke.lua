-- Revokes a session or token, or all that a buyer was issued before an instant.
--
-- KEYS  1  list      hash, session -> expires_ms|at_ms|by|
--       2  expiring  sorted set, session -> expires_ms
--       3  changes   stream of the latest changes
--       4  version   id of the last change
-- ARGV  1  session  "session:{fingerprint}" or "sessions:{user}"
--       2  expires  epoch milliseconds, when nothing is left to be refused
--       3  value    expires_ms|at_ms|by|; of "sessions:" at_ms is the instant
--       4  now      epoch milliseconds
--       5  keep     changes that are kept for readers that poll
--       6  most     entries that the list may have
--
-- Replies  1 if it is revoked, 0 if the list is full.
--
-- Keeps: what is revoked stays so until it expires; of two calls for one session the later
-- expiry wins, in whichever order they come, and so does the later instant, since its
-- expiry is as much later. Every entry is in `expiring`. A reader that holds a version that
-- is still in the stream learns of everything since by reading on from there. A few entries
-- that have ended are removed at each call, of which no reader is notified: it ends them by
-- its own clock.

local function forget(count)
  local ended = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', 0, count)
  for _, session in ipairs(ended) do
    redis.call('HDEL', KEYS[1], session)
    redis.call('ZREM', KEYS[2], session)
  end
end

forget(100)
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before then
  if tonumber(string.match(before, '^%d+') or 0) >= tonumber(ARGV[2]) then return 1 end
elseif redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then
  forget(10000)
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'ban', ARGV[1], 'value', ARGV[3])
redis.call('SET', KEYS[4], id)
return 1
