-- Stores a puzzle, or only counts a try, within the limits of account and address.
--
-- KEYS  1  user issued     counter, puzzles of the account in the window
--       2  user failed     counter, failed answers of the account
--       3  address issued  counter, puzzles of the address in the window
--       4  address failed  counter, failed answers of the address
--       5  puzzle          string, user|round|product|answer|issued_ms|tries
-- ARGV  1  window          of the counters of puzzles, in ms
--       2  user issued     most in the window
--       3  user failed     most in the window
--       4  address issued  most in the window
--       5  address failed  most in the window
--       6  by address      1 if the address counts; else 0
--       7  puzzle          user|round|product|answer|issued_ms, or empty: only count
--       8  life            of the puzzle, in ms
--
-- Replies  {'ok', user issued, address issued, user failed, address failed}
--          {'limited', ms until the fullest window ends}
--
-- Keeps: every window ends by itself, since a counter has an expiry from its first
-- count on; a try that is refused is not counted, so that trying again and again
-- does not lengthen the wait.

local by_address = ARGV[6] == '1'
local counts, wait = { 0, 0, 0, 0 }, 0
for index = 1, by_address and 4 or 2 do
  local count = tonumber(redis.call('GET', KEYS[index]) or 0)
  counts[index] = count
  if count >= tonumber(ARGV[index + 1]) then
    wait = math.max(wait, redis.call('PTTL', KEYS[index]), 1)
  end
end
if wait > 0 then return { 'limited', wait } end

for index = 1, by_address and 3 or 1, 2 do
  counts[index] = redis.call('INCR', KEYS[index])
  if counts[index] == 1 then redis.call('PEXPIRE', KEYS[index], ARGV[1]) end
end
local tries = { counts[1], counts[3], counts[2], counts[4] }
if ARGV[7] ~= '' then
  redis.call('SET', KEYS[5], ARGV[7] .. '|' .. table.concat(tries, '|'), 'PX', ARGV[8])
end
return { 'ok', tries[1], tries[2], tries[3], tries[4] }
