-- The generic cell rate algorithm as in sengol_api/resilience/rate/gcra.py, with the same order of operations on the same doubles.
-- KEYS[1]  the limit.
-- ARGV     what to do ("take" or "adjust"), cost, interval, burst, max_wait.
-- Kept is "at floor interval seen": the past as that module has it, and when it was written.

local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1700000000) + tonumber(time[2]) / 1000000 -- nearer to 0, so that a double has microseconds to spare
local what, cost, interval, burst, max_wait = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local rounding = 0.001 * interval
local longest = 315360000 -- ten years, in seconds
local at, floor, stepped = now, now, false

local function finite(number)
  return number and number - number == 0
end

local kept = redis.pcall('GET', KEYS[1]) -- a key of another kind is an error, and no past
if type(kept) == 'string' then
  local a, f, i, seen = string.match(kept, '^(%S+) (%S+) (%S+) (%S+)$')
  a, f, i, seen = tonumber(a), tonumber(f), tonumber(i), tonumber(seen)
  if finite(a) and finite(f) and finite(i) and finite(seen) and i > 0 then
    at, floor = a, f
    if seen > now then -- the clock was set back: what is owed is owed from now on
      at, floor, stepped = at - (seen - now), floor - (seen - now), true
    end
    if i ~= interval then
      local scale = interval / i
      at, floor = now + (at - now) * scale, now + (floor - now) * scale
    end
  end
end

local function keep()
  if at > now then
    local line = string.format('%.17g %.17g %.17g %.17g', at, floor, interval, now)
    redis.call('SET', KEYS[1], line, 'PX', string.format('%.0f', math.ceil(math.min(at - now, longest) * 1000)))
  else
    redis.call('UNLINK', KEYS[1])
  end
end

local function remaining()
  return string.format('%.17g', math.max(0, math.min(burst, burst - math.max(0, at - now) / interval)))
end

if what == 'adjust' then
  if cost >= 0 then
    at = math.max(at, now) + cost * interval
  else
    at = math.max(at + cost * interval, floor)
  end
  keep()
  return 1
end

local after = math.max(at, now) + cost * interval
local wait = after - burst * interval - now
if wait <= rounding then
  wait = 0
end
if wait > max_wait + rounding or cost > burst then
  if stepped then
    keep()
  end
  local retry_after = cost > burst and '' or string.format('%.17g', wait)
  return { 0, remaining(), retry_after, string.format('%.17g', math.max(0, at - now)), '0' }
end
if wait > 0 or floor > now then
  floor = math.max(floor, now + wait) + cost * interval
end
at = after
keep()
return { 1, remaining(), '0', string.format('%.17g', at - now), string.format('%.17g', wait) }
