-- Counts a connection into a place. KEYS: the place. ARGV: member, connection, node.
-- PLACE:arrivals  the number of the last arrival        PLACE:members  members by their latest arrival
-- PLACE:of:MEMBER  connection -> "ARRIVAL NODE"         PLACE:by:NODE  "CONNECTION MEMBER" of each that it counted in
local place, member, connection, node = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local of = place .. ':of:' .. member
local is_first = redis.call('EXISTS', of) == 0
local arrival = redis.call('INCR', place .. ':arrivals')
local number = arrival
local known = redis.call('HGET', of, connection)
if known then
    local by
    number, by = known:match('^(%d+) (.*)$')
    redis.call('SREM', place .. ':by:' .. by, connection .. ' ' .. member)
end
redis.call('HSET', of, connection, number .. ' ' .. node)
redis.call('SADD', place .. ':by:' .. node, connection .. ' ' .. member)
redis.call('ZADD', place .. ':members', arrival, member)
return is_first and 1 or 0
