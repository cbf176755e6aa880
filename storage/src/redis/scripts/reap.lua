-- Counts out of a place connections of a node that is no more. KEYS: the place. ARGV: the node, at most how many.
-- Returns how many it were, and then for each "CONNECTION MEMBER" of the members that are gone by that.
local place, node = KEYS[1], ARGV[1]
local popped = redis.call('SPOP', place .. ':by:' .. node, ARGV[2])
local answer = { tostring(#popped) }
for _, entry in ipairs(popped) do
    local connection, member = entry:match('^(%S+) (.*)$')
    local of = place .. ':of:' .. member
    redis.call('HDEL', of, connection)
    if redis.call('EXISTS', of) == 0 then
        redis.call('ZREM', place .. ':members', member)
        answer[#answer + 1] = entry
    end
end
if redis.call('EXISTS', place .. ':members') == 0 then
    redis.call('DEL', place .. ':arrivals')
end
return answer
