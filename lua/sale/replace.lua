-- Replaces entries of the catalogue that are as their reader saw them, so that of two
-- writers at once none undoes what the other wrote.
--
-- KEYS  1  catalogue  hash, round::product -> entry as JSON; field version
-- ARGV  for each entry three texts: the product, the entry as it was read, and the
--       entry as it is to be
--
-- Replies  for each entry in order 1 if it was replaced, or was as it is to be; 0 if it
--          has become another one meanwhile, or was removed: read it again.
--
-- Keeps: the version changes if an entry does, in the same step, so that every edge
-- that sees the new version reads the new entries.

local replies, changed = {}, false
for at = 1, #ARGV, 3 do
  local item, seen, new = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local is = redis.call('HGET', KEYS[1], item)
  local fits = is == seen
  if fits and is ~= new then
    redis.call('HSET', KEYS[1], item, new)
    changed = true
  end
  replies[#replies + 1] = (fits or is == new) and 1 or 0
end
if changed then redis.call('HINCRBY', KEYS[1], 'version', 1) end
return replies
