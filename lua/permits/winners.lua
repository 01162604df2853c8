-- Records buyers who were admitted for a product, so that every edge knows who may be
-- among its winners.
--
-- KEYS[1]  winners  string of fingerprints, 8 bytes each, in the order of their recording
-- ARGV[1]  fingerprints of the buyers, 8 bytes each
-- ARGV[2]  epoch ms until which the list is kept
--
-- Replies  how many fingerprints the list has now.
--
-- Invariant: the list only grows, so that a reader need read only what is behind what
-- it has read. A fingerprint may stand in it twice. It is written before the permits
-- are reported as used: who finds all permits used finds every winner here.

local bytes = redis.call('APPEND', KEYS[1], ARGV[1])
if bytes == #ARGV[1] then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
return math.floor(bytes / 8)
