-- Takes tokens from the bucket of one key, for the requests that wait at one edge.
--
-- KEYS[1]  bucket  hash of `tokens` and `at_us`: tokens in it at that moment of this
--                  clock; without one it is full. Gone once it would be full again
-- ARGV[1]  tokens a second
-- ARGV[2]  burst: tokens that it holds
-- ARGV[3]  tokens that requests wait for, at least 1
-- ARGV[4]  tokens beyond these that the edge would like to have in hand
--
-- Replies  { granted, ms until there is another token: 0 if there is one now }
--
-- Invariant: over any time, all edges together are granted no more than
-- rate x time + burst. What waits is served as far as there are tokens; what an edge
-- would like beyond that only if the bucket stays half full.

local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local waiting, more = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]

local held = redis.call('HMGET', KEYS[1], 'tokens', 'at_us')
local tokens = tonumber(held[1] or burst) or burst
-- The clock of a master that took over may be behind.
local since_us = math.max(0, now_us - (tonumber(held[2] or now_us) or now_us))
tokens = math.min(burst, tokens + since_us * rate / 1000000)

local granted = math.min(waiting, math.floor(tokens))
tokens = tokens - granted
if more > 0 and granted == waiting then
  local beyond = math.max(0, math.min(more, math.floor(tokens - burst / 2)))
  granted = granted + beyond
  tokens = tokens - beyond
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at_us', string.format('%d', now_us))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) * 1000 / rate) + 1000)
local wait_ms = tokens >= 1 and 0 or math.ceil((1 - tokens) * 1000 / rate)
return { granted, wait_ms }
