-- Appends the entries from ARGV[first] on to a list, drops the oldest that are too many or too large together, but never the
-- newest, and starts the list's time anew.
local function keep(list, first, ttl, entries_max, bytes_max)
    for place = first, #ARGV do
        redis.call('RPUSH', list, ARGV[place])
    end
    if first <= #ARGV then
        redis.call('LTRIM', list, -entries_max, -1)
        local entries = redis.call('LLEN', list)
        while entries > 1 and redis.call('MEMORY', 'USAGE', list, 'SAMPLES', 0) > bytes_max do
            -- An eighth at once: the look at a long list is paid for by many entries.
            redis.call('LTRIM', list, math.ceil(entries / 8), -1)
            entries = redis.call('LLEN', list)
        end
    end
    redis.call('PEXPIRE', list, ttl)
end
