-- Numbers a payload, keeps it in the topic's stream, and tells whoever is subscribed: all or nothing, in one command.
-- KEYS: the last number; the stream; the channel.
-- ARGV: who publishes; the payload; how many are kept; for how many milliseconds; `first`, or `again` if nobody knows
-- whether it was done already.
if ARGV[5] == 'again' then
    for _, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1000)) do
        if entry[2][4] == ARGV[1] then
            return 0
        end
    end
end
local previous = redis.call('GET', KEYS[1]) or '0'
-- Microseconds: a number is higher than any before it, also than those that a server forgot when it was killed.
local now = redis.call('TIME')
local number = string.format('%.0f', math.max(now[1] * 1000000 + now[2], previous + 1))
redis.call('SET', KEYS[1], number, 'PX', ARGV[4])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], number .. '-0',
    'after', previous, 'from', ARGV[1], 'bytes', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('SPUBLISH', KEYS[3], number .. ' ' .. previous .. ' ' .. ARGV[1] .. '\n' .. ARGV[2])
return 1
