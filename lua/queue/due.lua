-- Puts messages whose time has come into the stream that the workers read.
--
-- KEYS  1  delayed  sorted set of messages, scored by when they are due, in ms;
--                   each is attempts|key|body
--       2  stream   the queue
-- ARGV  1  most     how many to put in at most, so that a thousand that are due
--                   at once do not hold up other commands
--
-- Replies: how many ms until the next one is due: 0 if some are due already, -1
-- if there is none.
--
-- Keeps: a message is either in the set or in the stream, never in neither.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%d', now_ms), 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local attempts, key, body = string.match(member, '^(%d+)|([^|]*)|(.*)$')
  redis.call('XADD', KEYS[2], '*', 'body', body, 'key', key, 'attempts', attempts)
  redis.call('ZREM', KEYS[1], member)
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not next[2] then return -1 end
return math.max(0, next[2] - now_ms)
