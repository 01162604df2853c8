-- Closes leases on one segment: from now on a purchase that arrives with one of
-- them is refused as busy, so that permits that were not seen may be returned.
--
-- KEYS  1  spent       hash, lease id -> permits seen, or closed:seen
-- ARGV  1  keep_until  epoch ms until which the hash is kept; far enough after
--                      the round's end that no purchase can need it any more
--       2… leases      lease ids
--
-- Replies: for each lease, in order, how many of its permits this segment saw.
--
-- Keeps: the number of a closed lease never changes again. Closing again (after
-- a crash between closing and settling) replies the same number.

local seen = {}
for i = 2, #ARGV do
  local text = redis.call('HGET', KEYS[1], ARGV[i]) or '0'
  local before = string.match(text, '^closed:(%d+)$')
  if not before then
    redis.call('HSET', KEYS[1], ARGV[i], 'closed:' .. text)
  end
  seen[i - 1] = tonumber(before or text)
end
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return seen
