-- wrk: WHAT is "way", answered at once; "puzzle"; or "verdict", puzzles and answers by turns.
-- SESSIONS is a file of cookies, one a line; each buyer comes in turn.

local what = os.getenv('WHAT')
local sessions = {}
for line in io.lines(os.getenv('SESSIONS')) do sessions[#sessions + 1] = line end
local turn, waiting, mine = 0, {}, {}
local ask = '/api/captcha?round=1&product=153'

-- A drag as a hand does it: it is judged whole, though where it ends is a guess.
local moments = {}
for step = 0, 60 do
  local t = step / 60
  local s = t * t * t * (10 - 15 * t + 6 * t * t)
  moments[#moments + 1] = string.format('[%.1f,%.1f,%.1f]', step * 0.1, 180 * s, 5 * math.sin(t * 4))
end
local track = '"track":[' .. table.concat(moments, ',') .. ']'

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function init()
  puzzles, verdicts, others = 0, 0, 0
end

function request()
  if what == 'way' then return wrk.format('GET', '/api/captcha/way') end
  local open = table.remove(waiting)
  if open then
    return wrk.format('POST', '/api/captcha', { Cookie = open.cookie }, '{"id":"' .. open.id .. '",' .. track .. '}')
  end
  turn = turn % #sessions + 1
  return wrk.format('GET', ask, { Cookie = sessions[turn] })
end

function response(status, _, body)
  if what == 'way' then return end
  local id = status == 200 and string.match(body, '"id":"(%x+)"')
  if id then
    puzzles = puzzles + 1
    -- Whoever answers need not be whom it was for: the verdict costs the same.
    if what == 'verdict' then waiting[#waiting + 1] = { id = id, cookie = sessions[turn] } end
  elseif status == 403 then
    verdicts = verdicts + 1
  else
    others = others + 1
  end
end

function done()
  for _, thread in ipairs(threads) do
    print('puzzles: ' .. thread:get('puzzles'))
    print('verdicts: ' .. thread:get('verdicts'))
    print('others: ' .. thread:get('others'))
  end
end
