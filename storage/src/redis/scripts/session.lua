-- Counts or settles a session, and starts its time anew.
-- KEYS: the state; and, where both are in one database, its messages.
-- ARGV: milliseconds to live; the moment in seconds; `advance`, `settle` or `make` (settles, and makes one that is not
-- there); the least count; entries at most; their bytes at most; and the entries.
-- Returns the count; nothing if there was no session and none was made.
local state = redis.call('GET', KEYS[1])
local deed = ARGV[3]
if not state and deed == 'settle' then
    return false
end
local count, at = 0, ARGV[2]
if state then
    local read, known = pcall(cjson.decode, state)
    if not read or type(known) ~= 'table' or type(known.count) ~= 'number' then
        return redis.error_reply('ERR ' .. KEYS[1] .. ' holds no session')
    end
    count = known.count
    if type(known.last_activity) == 'number' and known.last_activity > tonumber(at) then
        at = string.format('%.3f', known.last_activity)
    end
elseif KEYS[2] then
    -- One that has run out was never there, nor anything that was kept with it.
    redis.call('DEL', KEYS[2])
end
if deed == 'advance' then
    count = count + 1
else
    count = math.max(count, tonumber(ARGV[4]))
end
local written = string.format('{"count":%.0f,"last_activity":%s}', count, at)
redis.call('SET', KEYS[1], written, 'PX', ARGV[1])
if KEYS[2] then
    keep(KEYS[2], 7, ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6]))
end
return string.format('%.0f', count)
