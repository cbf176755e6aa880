local FIELDS = { 'id', 'user', 'kind', 'data', 'scheduled', 'sent' }

local function event(number)
    local known = redis.call('HMGET', key('event', tonumber(number)), unpack(FIELDS))
    table.insert(known, 1, string.format('%.0f', tonumber(number)))
    return known
end

local function events(numbers)
    local found = {}
    for place, number in ipairs(numbers) do
        found[place] = event(number)
    end
    return found
end

local function forget(number, user)
    local member = padded(number)
    for _, set in ipairs({ 'events_of', 'events_pending', 'events_sent' }) do
        redis.call('ZREM', key(set, user), member)
    end
    redis.call('ZREM', key('events_sent'), member)
    redis.call('DEL', key('event', tonumber(number)))
end

local function count_sent(user)
    local count = redis.call('ZCARD', key('events_sent', user))
    if count == 0 then
        redis.call('ZREM', key('events_sent_counts'), user)
    else
        redis.call('ZADD', key('events_sent_counts'), count, user)
    end
end

function deeds.store()
    return store_events(given.events)
end

function deeds.pending()
    return events(redis.call('ZRANGEBYSCORE', key('events_pending', given.user), '-inf', given.now,
        'LIMIT', 0, given.limit))
end

-- The first of a user's that are due and that nobody has claimed.
local function due(user, found)
    local taken, skip = 0, 0
    repeat
        local page = redis.call('ZRANGEBYSCORE', key('events_pending', user), '-inf', given.now, 'WITHSCORES',
            'LIMIT', skip, 100)
        for place = 1, #page, 2 do
            local number = tonumber(page[place])
            if taken < given.limit and tonumber(redis.call('HGET', key('event', number), 'claimed')) <= given.now then
                found[#found + 1] = { scheduled = tonumber(page[place + 1]), number = number }
                taken = taken + 1
            end
        end
        skip = skip + 100
    until #page < 200 or taken >= given.limit
end

function deeds.claim()
    local found, seen, claimed = {}, {}, {}
    for _, user in ipairs(given.users) do
        if not seen[user] then
            seen[user] = true
            due(user, found)
        end
    end
    table.sort(found, function(one, other)
        if one.scheduled ~= other.scheduled then
            return one.scheduled < other.scheduled
        end
        return one.number < other.number
    end)
    for place = 1, math.min(#found, given.limit) do
        local number = found[place].number
        redis.call('HSET', key('event', number), 'claimed', given.till)
        claimed[place] = event(number)
    end
    return claimed
end

function deeds.arrived()
    for _, arrived in ipairs(given.arrived) do
        local known = redis.call('HMGET', key('event', arrived.number), 'user', 'scheduled', 'sent')
        local user = known[1]
        if user and not known[3] then
            redis.call('HSET', key('event', arrived.number), 'sent', arrived.at)
            redis.call('ZREM', key('events_pending', user), padded(arrived.number))
            redis.call('ZADD', key('events_sent', user), arrived.number, padded(arrived.number))
            redis.call('ZADD', key('events_sent'), known[2], padded(arrived.number))
            count_sent(user)
        end
    end
    return 1
end

function deeds.list()
    return events(redis.call('ZRANGEBYSCORE', key('events_of', given.user), '(' .. given.after, '+inf',
        'LIMIT', 0, given.limit))
end

function deeds.remove()
    for _, number in ipairs(redis.call('ZRANGE', key('events_of', given.user), 0, -1)) do
        forget(number, given.user)
    end
    count_sent(given.user)
    return 1
end

function deeds.trim()
    local removed = 0
    if optional(given.since) then
        for _, number in ipairs(redis.call('ZRANGEBYSCORE', key('events_sent'), '-inf', '(' .. given.since,
            'LIMIT', 0, given.limit)) do
            local user = redis.call('HGET', key('event', tonumber(number)), 'user')
            forget(number, user)
            count_sent(user)
            removed = removed + 1
        end
    end
    while optional(given.count_max) and removed < given.limit do
        local user = redis.call('ZRANGEBYSCORE', key('events_sent_counts'), '(' .. given.count_max, '+inf',
            'LIMIT', 0, 1)[1]
        if not user then
            break
        end
        local excess = redis.call('ZCARD', key('events_sent', user)) - given.count_max
        local last = math.min(excess, given.limit - removed) - 1
        for _, number in ipairs(redis.call('ZRANGE', key('events_sent', user), 0, last)) do
            forget(number, user)
            removed = removed + 1
        end
        count_sent(user)
    end
    return removed
end

return deeds[ARGV[1]]()
