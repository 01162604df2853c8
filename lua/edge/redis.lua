-- Commands to Redis over pooled connections, without blocking the worker
-- (course §125: INCRBY from Lua inside nginx).
--
-- Debian's lua-nginx-redis would do the same, but wants the package
-- nginx-extras, which switches two dozen modules on in the system's nginx; and
-- with encoded commands and replies of one line this is faster.

local settings = require("edge.settings")

local byte = string.byte
local concat = table.concat
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber

local IDLE_MS = 60000
local POOL = { pool_size = 256 }

local _M = {}

-- The wire form of a command; keep it for a command that is sent often.
function _M.encode(...)
    local words = { ... }
    local out = { "*" .. #words .. "\r\n" }
    for i = 1, #words do
        local word = tostring(words[i])
        out[i + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
    end
    return concat(out)
end

-- One reply: its value (false for a null); nil and a text if Redis replied
-- with an error; nil, text and true if the connection broke.
local function receive(connection)
    local line, err = connection:receive()
    if not line then
        return nil, err, true
    end
    local kind = byte(line)
    if kind == 58 then -- ":"
        return tonumber(sub(line, 2))
    elseif kind == 43 then -- "+"
        return sub(line, 2)
    elseif kind == 45 then -- "-"
        return nil, sub(line, 2), false
    end
    local count = tonumber(sub(line, 2))
    if not count then
        return nil, "this is no Redis reply: " .. line, true
    elseif count < 0 then
        return false
    elseif kind == 36 then -- "$"
        local text, broken = connection:receive(count + 2)
        if not text then
            return nil, broken, true
        end
        return sub(text, 1, count)
    end
    local values = {}
    for i = 1, count do
        local value, failed, is_broken = receive(connection)
        if is_broken then
            return nil, failed, true
        end
        values[i] = value or false
    end
    return values
end

-- Sends an encoded command and waits for its reply.
function _M.call(connection, request)
    local sent, err = connection:send(request)
    if not sent then
        return nil, err, true
    end
    return receive(connection)
end

local function log_in(connection, to)
    local words = {}
    if to.password then
        words[1] = _M.encode("AUTH", to.password)
    end
    if to.db ~= 0 then
        words[#words + 1] = _M.encode("SELECT", to.db)
    end
    for i = 1, #words do
        local ok, err = _M.call(connection, words[i])
        if not ok then
            connection:close()
            return nil, err
        end
    end
    return connection
end

-- A connection, from the pool if one is free, whose calls time out after
-- `timeout_ms` or the configured time; nil and the reason if there is none.
function _M.connect(timeout_ms)
    local to = settings.redis
    local connection = tcp()
    connection:settimeout(timeout_ms or to.timeout_ms)
    local ok, err
    if to.port then
        ok, err = connection:connect(to.host, to.port, POOL)
    else
        ok, err = connection:connect(to.host, POOL)
    end
    if not ok then
        return nil, err
    end
    if (to.password or to.db ~= 0) and connection:getreusedtimes() == 0 then
        return log_in(connection, to)
    end
    return connection
end

-- Returns a connection to the pool; all of its replies were read.
function _M.keep(connection)
    return connection:setkeepalive(IDLE_MS, POOL.pool_size)
end

-- Logs what failed and the reason, at most once a second.
function _M.warn(what, err)
    if ngx.shared.seckill_counters:add("warned", true, 1) then
        ngx.log(ngx.WARN, what, ": Redis at ", settings.redis.host, " says: ", err)
    end
end

return _M
