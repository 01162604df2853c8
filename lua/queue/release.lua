-- Requeues messages of a worker, to be delivered again later.
--
-- KEYS  1  stream   the queue
--       2  delayed  sorted set of messages, scored by when they are due, in ms;
--                   each is attempts|key|body
-- ARGV  1  group    the workers' group
--       2  after    delay until they are due, in ms
--       3… ids      entries of the stream
--
-- Replies: how many were requeued. One that is not in the stream any more was
-- acknowledged, or requeued before.
--
-- Keeps: a message is either in the set or in the stream, never in neither; how
-- often it was delivered is carried along.

local time = redis.call('TIME')
local due_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
local taken = 0
for i = 3, #ARGV do
  local found = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if found then
    local entry = { body = '', key = '', attempts = '0' }
    for f = 1, #found[2], 2 do
      entry[found[2][f]] = found[2][f + 1]
    end
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
    local attempts = tonumber(entry.attempts) + (pending and pending[4] or 0)
    redis.call('ZADD', KEYS[2], due_ms,
      string.format('%d', attempts) .. '|' .. entry.key .. '|' .. entry.body)
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    redis.call('XDEL', KEYS[1], ARGV[i])
    taken = taken + 1
  end
end
return taken
