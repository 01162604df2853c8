-- The signing secrets: a file of `kid secret` lines; the first signs, all
-- verify (course §075, the secret part of the hidden URL's digest).
--
-- Each purpose signs with a key of its own, derived from the secret as
-- core/src/signing/keyring.rs derives it, so that either edge verifies what the other
-- or the back end signed.

local bit = require("bit")
local ffi = require("ffi")

local hmac = require("edge.hmac")

local match = string.match

-- The part of Linux's struct statx that holds a file's mode.
ffi.cdef([[
typedef struct {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode;
    char rest[226];
} seckill_statx;
int statx(int dir, const char *path, int flags, unsigned int mask, seckill_statx *found);
]])

local AT_FDCWD = -100
local STATX_MODE = 2
local OTHERS = 7
local MIN_SECRET = 32
local MAX_KID = 16

local _M = {}
local keys = {}
local first

local function read(path)
    if not path then
        return nil, 'keys is missing; write keys = "/etc/seckill/keys"'
    end
    local file, err = io.open(path, "r")
    if not file then
        return nil, "the key ring cannot be read: " .. err
    end
    local found = ffi.new("seckill_statx")
    local known = ffi.C.statx(AT_FDCWD, path, 0, STATX_MODE, found) == 0
    if known and bit.band(found.mode, OTHERS) ~= 0 then
        file:close()
        return nil, path .. " can be read by others; run: chmod o= " .. path
    end
    local text = file:read("*a")
    file:close()
    return text
end

local function key(kid, secret)
    return {
        kid = kid,
        secret = secret,
        path = hmac.prepare(hmac.prepare(secret):sign("seckill path v1")),
        session = hmac.prepare(hmac.prepare(secret):sign("seckill session v1")),
    }
end

-- Reads the ring; true, or nil and a sentence that names line and cure.
function _M.load(path)
    local text, err = read(path)
    if not text then
        return nil, err
    end
    local number = 0
    for line in text:gmatch("([^\n]*)\n?") do
        number = number + 1
        local where = path .. " line " .. number .. ": "
        line = match(line, "^%s*(.-)%s*$")
        if line ~= "" and not match(line, "^#") then
            local kid, secret = match(line, "^(%S+)%s+(%S+)$")
            if not kid then
                return nil, where .. 'expected "kid secret", two words separated by a space'
            elseif #kid > MAX_KID or match(kid, "%W") then
                return nil, where .. 'key id "' .. kid .. '" must be 1 to 16 letters and digits'
            elseif keys[kid] then
                return nil, where .. 'key id "' .. kid .. '" is used twice; every key needs its own'
            elseif #secret < MIN_SECRET then
                return nil, where .. "the secret has " .. #secret
                    .. ' bytes and needs at least 32; "openssl rand -hex 32" makes a good one'
            end
            keys[kid] = key(kid, secret)
            first = first or keys[kid]
        end
    end
    if not first then
        return nil, path .. ' holds no key; write one line "kid secret"'
    end
    return true
end

-- The key that signs.
function _M.first()
    return first
end

-- The key of this name, or nil.
function _M.find(kid)
    return keys[kid]
end

return _M
