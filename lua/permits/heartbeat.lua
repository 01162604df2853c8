-- An edge says that it is alive, and learns how many are.
--
-- KEYS[1]  edges  sorted set, edge name -> last heartbeat in ms by this clock
-- ARGV[1]  the edge's name
-- ARGV[2]  how long an edge counts as alive after a heartbeat, in ms
--
-- Replies  number of living edges, this one included.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - tonumber(ARGV[2]))
return redis.call('ZCARD', KEYS[1])
