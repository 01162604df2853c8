-- An edge says that it is alive, and learns of the others.
--
-- KEYS[1]  edges  sorted set, edge -> until when it counts as alive, in ms by this
--                 clock; below zero once another edge took it for dead. An edge is
--                 {node}.{identity}.{room}.{host}; the identity is random, so that two
--                 edges that claim one node name are two
-- ARGV[1]  the edge
-- ARGV[2]  how long an edge counts as alive after a heartbeat, in ms
-- ARGV[3]  "{node}." to be told of the other living edges that claim this name, or
--          nothing
--
-- Replies  { living edges, this one included;
--            ms since the last heartbeat of the edge that was lost last, or 0;
--            1 if the others took this one for dead meanwhile, else 0;
--            the other living edges of that name }
--
-- Invariant: nobody is taken for dead because this server stood still. What
-- kept the caller's own heartbeat from arriving in time is forgiven to all.

local life_ms = tonumber(ARGV[2])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local mine = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or now_ms)
local was_lost = mine < 0
local grace_ms = not was_lost and now_ms > mine and now_ms - mine + life_ms or 0
redis.call('ZADD', KEYS[1], now_ms + life_ms, ARGV[1])

local since = '(' .. (now_ms - grace_ms)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(0', since)) do
  redis.call('ZADD', KEYS[1], -redis.call('ZSCORE', KEYS[1], name), name)
end
-- Names of edges that are long gone would only fill the set.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. (60000 - now_ms), '(0')
local living = redis.call('ZCOUNT', KEYS[1], '(0', '+inf')
local lost = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0', 'WITHSCORES', 'LIMIT', 0, 1)
local unheard_ms = lost[2] and now_ms + tonumber(lost[2]) + life_ms or 0
local namesakes = {}
local prefix = ARGV[3] or ''
if prefix ~= '' then
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf')) do
    if name ~= ARGV[1] and string.sub(name, 1, #prefix) == prefix then
      namesakes[#namesakes + 1] = name
    end
  end
end
return { living, unheard_ms, was_lost and 1 or 0, namesakes }
