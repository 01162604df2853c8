-- Replays one request of a purchase journal: the purchase, once, in its order. The back
-- end puts the text of purchase.lua before this one, as a function "purchase" of its
-- KEYS and ARGV.
--
-- KEYS  1  journals  hash, id of a journal's file -> number of its last record that was
--                    replayed on this segment
--       2  refused   hash, user -> record of a replayed request that bought nothing
--       3  forgotten set, user|request of each purchase that this segment has forgotten
--                    and that waits to be made again
--       4… as purchase.lua has them
-- ARGV  1  file      id of the file that the record is in
--       2  seq       the record's number
--       3  before    number of the record of that file that was replayed here before it;
--                    0 if none was
--       4  keep      ms for which journals and refused are kept after this
--       5  at_ms     when it was admitted, or for one that the segment has forgotten, when
--                    it was made, epoch ms
--       6… as purchase.lua has them
--
-- Replies as purchase.lua, but never busy, and
--   error HALTED  the segment is halted, or first makes again what it has forgotten
--   behind  another record than "before" was replayed last: nothing was done
--
-- Keeps: a record is replayed once, also if the journal is replayed again from its
-- beginning, and never before one that comes before it, so that a record that failed in
-- a pipeline stops those behind it. It counts as replayed in the same step in which it
-- buys. A request whose lease was closed meanwhile buys without a permit: its buyer was
-- told that it is in progress. One whose permit met no stock before it was journalled, since
-- Redis answered too late, is refused as it was then. What bought nothing is on record with
-- its reason, unless the buyer has a purchase that lives. A forgotten purchase that is still
-- waited for, and whose buyer has a later one on record, is over, since nobody has two that
-- live at a time, and is not made again. While a segment that was put back (resume.lua)
-- waits for what it has forgotten, nothing else is replayed, whichever process has it in its
-- journal.

local last = redis.pcall('HGET', KEYS[1], ARGV[1])
if type(last) == 'table' then return misplaced(KEYS[1], last) end
last = tonumber(last or '0')
local seq, before = tonumber(ARGV[2]), tonumber(ARGV[3])
local argv = { unpack(ARGV, 6) }
local made = argv[1] .. '|' .. argv[2]
if last >= seq then
  -- Noted again by a process that loaded its journal again.
  redis.call('SREM', KEYS[3], made)
  return 'repeated'
end
if last ~= before then return 'behind' end

local keys = { KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8] }
local is_forgotten = redis.call('SISMEMBER', KEYS[3], made) == 1
replayed = is_forgotten or redis.call('EXISTS', KEYS[3]) == 0
if is_forgotten then
  local _, request, _, _, at_ms = parse_record(redis.call('HGET', keys[2], argv[1]))
  if request and request ~= argv[2] and tonumber(at_ms) > tonumber(ARGV[5]) then
    local wrong = read_stock(keys[1])
    if wrong then return wrong end
    redis.call('SREM', KEYS[3], made)
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    return 'repeated'
  end
end
local answer = purchase(keys, argv)
if answer == 'busy' then
  argv[4], argv[5] = '', ''
  answer = purchase(keys, argv)
end
if type(answer) == 'table' or answer == 'empty' then return answer end

redis.call('SREM', KEYS[3], made)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if answer == 'sold_out' or answer == 'surplus' or answer == 'captcha' then
  local state = parse_record(redis.call('HGET', keys[2], argv[1]))
  if state ~= 'succeeded' and state ~= 'ordered' and state ~= 'paid' then
    local time = redis.call('TIME')
    local now_ms = string.format('%s%03d', time[1], math.floor(time[2] / 1000))
    local reason = answer == 'captcha' and 'captcha_required' or 'sold_out'
    redis.call('HSET', KEYS[2], argv[1],
      record_of('failed', argv[2], argv[3], argv[4], '', now_ms) .. '|' .. reason)
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
  end
end
return answer
