-- Deletes from a segment's outbox the events that every reader is done with.
--
-- KEYS  1  outbox   stream of the segment's events
-- ARGV  groups      the consumer groups that must be done: the relay, which
--                   publishes events, and the ledger, which archives them
--
-- Replies: how many events were deleted; 0 as long as one of the groups has
-- never read this outbox.
--
-- Keeps: an event stays until each of the groups has acknowledged it and all
-- before it, so that none is lost between the outbox and its readers.

-- Whether the entry id `a` is before `b`.
local function before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_seq) < tonumber(b_seq)
end

local delivered = {}
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local of = {}
  for i = 1, #group, 2 do of[group[i]] = group[i + 1] end
  delivered[of['name']] = of['last-delivered-id']
end

local bound
for _, group in ipairs(ARGV) do
  if not delivered[group] then return 0 end
  local pending = redis.call('XPENDING', KEYS[1], group)
  local first = pending[2]
  if pending[1] == 0 then
    local ms, seq = string.match(delivered[group], '^(%d+)-(%d+)$')
    first = string.format('%s-%d', ms, tonumber(seq) + 1)
  end
  if not bound or before(first, bound) then bound = first end
end
if not bound then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', bound)
