-- Renews a node's lease. KEYS: the leases. ARGV: the node, for how many milliseconds, `begin` or `renew`.
-- Returns whether the node has one now, and then which nodes' leases have run out.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_then = redis.call('ZSCORE', KEYS[1], ARGV[1])
local holds = ARGV[3] == 'begin' or (until_then and tonumber(until_then) > now)
if holds then
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
end
local answer = { holds and '1' or '0' }
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 16)) do
    answer[#answer + 1] = node
end
return answer
