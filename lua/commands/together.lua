-- Runs several commands in one atomic step. What MULTI and EXEC do takes several
-- requests, each of which Redis may refuse by itself; this is one.
--
-- KEYS  every key that the commands name
-- ARGV  number of words of a command, its words; again and again
--
-- Replies: the reply of each command, in order; or the error of the first that failed,
-- with those before it done and those behind it not.
--
-- Keeps: nobody sees a state between two of the commands.

local replies, at = {}, 1
while at < #ARGV do
  local words = tonumber(ARGV[at])
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return replies
