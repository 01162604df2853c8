-- Releases the lock under which a document is assembled, if it is still the caller's.
--
-- KEYS  1  lock    string, the token of the process that assembles
-- ARGV  1  token   the caller's token
--
-- Replies 1 if the lock was the caller's, else 0.
--
-- Keeps: a caller that took so long that its lock had expired does not release the
-- lock of the next one.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
