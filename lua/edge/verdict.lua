-- The verdicts and their responses. Course §125: "busy" (the system's limit) and "sold
-- out" (the product's limit) are two different messages. Codes and sentences
-- are those of core/src/gate/verdict.rs.

local exit = ngx.exit
local header = ngx.header
local print = ngx.print

local function verdict(status, code, message, retry_after)
    local body = '{"code":"' .. code .. '","message":"' .. message .. '"}'
    return { status = status, body = body, length = #body, retry_after = retry_after }
end

local _M = {
    bad_request = verdict(400, "bad_request", "The request is malformed; reload the page and try again."),
    login_required = verdict(401, "login_required", "Log in, then try again."),
    bad_signature = verdict(403, "bad_signature",
        "This purchase address is not yours; fetch a new one from the product page."),
    expired = verdict(403, "expired", "This purchase address is too old; fetch a new one from the product page."),
    not_found = verdict(404, "not_found", "There is nothing here by that name."),
    sold_out = verdict(410, "sold_out", "Sold out."),
    ended = verdict(410, "ended", "This round is over."),
    paused = verdict(410, "paused",
        "The shop has interrupted this sale; stay on the page, which says when it goes on."),
    withdrawn = verdict(410, "withdrawn", "The shop has taken this off sale."),
    too_early = verdict(425, "too_early", "The sale has not begun; wait for the countdown."),
    busy = verdict(429, "busy", "Too many shoppers at this moment; try again in a second.", "1"),
    unavailable = verdict(503, "unavailable", "The shop cannot answer right now; try again shortly.", "1"),
}

-- Responds with a JSON text that no cache may keep.
local function answer(body, length)
    header["Content-Type"] = "application/json"
    header["Content-Length"] = length
    header["Cache-Control"] = "no-store"
    print(body)
    return exit(200)
end

function _M.answer(body)
    return answer(body, #body)
end

-- Whether the method is GET or HEAD. The body of any other request is discarded,
-- so that the connection can serve the next one.
function _M.is_read()
    local method = ngx.req.get_method()
    if method == "GET" or method == "HEAD" then
        return true
    end
    ngx.req.discard_body()
    return false
end

-- Refuses the request; nothing may follow it in a phase.
function _M.refuse(refusal)
    ngx.status = refusal.status
    if refusal.retry_after then
        header["Retry-After"] = refusal.retry_after
    end
    return answer(refusal.body, refusal.length)
end

return _M
