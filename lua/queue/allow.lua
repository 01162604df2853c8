-- Takes allowances for orders out of the site's bucket, or puts unused ones back. All
-- orders workers of a site share it, so that their number does not matter.
--
-- KEYS  1  bucket  hash: `allowed`, how many orders may be placed, and `at_us`, when
--                  that was counted, in microseconds of Redis's clock
-- ARGV  1  rate    orders a second, from 1
--       2  want    allowances wanted; negative to put as many back
--
-- Replies  how many are granted, from 0 to `want`; 0 for those put back.
--
-- Keeps: over any t seconds at most rate * (t + 1) allowances are granted and not put
-- back: one second's worth is saved up at most.

local rate, want = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local was = redis.call('HMGET', KEYS[1], 'allowed', 'at_us')
local allowed, at_us = tonumber(was[1]) or rate, tonumber(was[2]) or now_us
-- A clock that was set back grants nothing until it has caught up.
local grown = math.max(0, now_us - at_us) * rate / 1000000
allowed = math.min(rate, allowed + grown)
local granted = 0
if want > 0 then
  granted = math.min(want, math.floor(allowed))
else
  allowed = math.min(rate, allowed - want)
end
redis.call('HSET', KEYS[1], 'allowed', string.format('%.6f', allowed - granted),
  'at_us', string.format('%.0f', math.max(now_us, at_us)))
-- Nothing is lost with a bucket that has filled up again.
redis.call('PEXPIRE', KEYS[1], 60000)
return granted
