-- The number of a realm; it gets one if it has none. KEYS: realm -> number. ARGV: the realm.
local number = redis.call('HGET', KEYS[1], ARGV[1])
if not number then
    number = redis.call('HLEN', KEYS[1]) + 1
    redis.call('HSET', KEYS[1], ARGV[1], number)
end
return tonumber(number)
