-- Bans an address, a network or a user, or edits a ban.
--
-- KEYS  1  list      hash, ban -> expires_ms|at_ms|by|reason
--       2  expiring  sorted set, ban -> expires_ms
--       3  changes   stream of the latest changes
--       4  version   id of the last change
-- ARGV  1  ban      "address:203.0.113.0/24" or "user:li", in its one spelling
--       2  expires  epoch milliseconds, or 0 for a ban that does not end by itself
--       3  value    expires_ms|at_ms|by|reason
--       4  now      epoch milliseconds
--       5  keep     changes that are kept for edges that poll
--
-- Replies  the value that was there, or false.
--
-- Keeps: a ban is in `expiring` if and only if it ends by itself; a reader that
-- holds a version that is still in the stream learns of everything since by reading on
-- from there. A few bans that have ended are removed at each call, of which no edge is
-- notified: it ends them by its own clock.

local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'ban', ARGV[1], 'value', ARGV[3])
redis.call('SET', KEYS[4], id)

local ended = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', 0, 100)
for _, ban in ipairs(ended) do
  redis.call('HDEL', KEYS[1], ban)
  redis.call('ZREM', KEYS[2], ban)
end
return before
