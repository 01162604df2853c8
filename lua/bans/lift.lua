-- Lifts a ban.
--
-- KEYS  1  list      hash, ban -> expires_ms|at_ms|by|reason
--       2  expiring  sorted set, ban -> expires_ms
--       3  changes   stream of the latest changes
--       4  version   id of the last change
-- ARGV  1  ban   "address:203.0.113.0/24" or "user:li", in its one spelling
--       2  keep  changes that are kept for edges that poll
--
-- Replies  the value that was there, or false if there was no such ban.
--
-- Keeps: a reader that holds a version that is still in the stream learns of everything
-- since by reading on from there. Lifting a ban that was not there is a change, too: an
-- edge may know of one that was removed by hand.

local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 'ban', ARGV[1], 'value', '')
redis.call('SET', KEYS[4], id)
return before
