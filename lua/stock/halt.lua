-- Halts a segment whose Redis has forgotten events: no script changes its stock until
-- it is put back (rebuild.lua), or a person decides, and it is resumed (resume.lua).
--
-- KEYS  1  stock   hash of the segment's three amounts, and of why it is halted
-- ARGV  1  reason  why
--
-- Replies
--   1  done
--   0  the segment has no stock, so that nothing can be sold from it
--
-- Keeps: the three amounts.

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'halted', ARGV[1])
return 1
