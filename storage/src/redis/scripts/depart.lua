-- Counts a connection out of a place. KEYS: the place. ARGV: member, connection. Says whether its member is gone by that.
local place, member, connection = KEYS[1], ARGV[1], ARGV[2]
local of = place .. ':of:' .. member
local known = redis.call('HGET', of, connection)
if not known then
    return 0
end
redis.call('HDEL', of, connection)
redis.call('SREM', place .. ':by:' .. known:match('^%d+ (.*)$'), connection .. ' ' .. member)
if redis.call('EXISTS', of) == 1 then
    return 0
end
redis.call('ZREM', place .. ':members', member)
if redis.call('EXISTS', place .. ':members') == 0 then
    redis.call('DEL', place .. ':arrivals')
end
return 1
