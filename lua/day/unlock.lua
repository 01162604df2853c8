-- Lets go of the lock under which a document is assembled, if it is still the
-- caller's own.
--
-- KEYS  1  lock    who assembles
-- ARGV  1  token   the caller's, as he set it
--
-- Replies 1 if the lock was the caller's, else 0.
--
-- Keeps: a caller who took so long that his lock had lapsed does not take away
-- the lock of whoever came after him.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
