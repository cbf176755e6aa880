-- dialogues:last         the last number             dialogues                two users -> number
-- dialogue:N             low, high, last             dialogue_messages:N      number -> the message, as JSON
-- dialogue_numbers:N     numbers in their order      dialogue_delivered:N     number -> when
-- dialogue_read:N        number -> when              dialogue_unread:N:USER   numbers that he has not read
-- dialogues_of:USER      dialogues by when their last message was written
-- dialogues_with:USER    all of his, also those whose last message has been trimmed
-- unread                 user -> how many messages   dialogue_ages            "N NUMBER" by when it was written
-- dialogue_spans         dialogues by how many numbers there are from their oldest message to the last number

local function pair(one, other)
    if one < other then
        return one, other
    end
    return other, one
end

local function field(low, high)
    return cjson.encode({ low, high })
end

local function find(one, other)
    return redis.call('HGET', key('dialogues'), field(pair(one, other)))
end

local function message(dialogue, number)
    return { number, redis.call('HGET', key('dialogue_messages', dialogue), number),
        redis.call('HGET', key('dialogue_delivered', dialogue), number),
        redis.call('HGET', key('dialogue_read', dialogue), number) }
end

local function note_span(dialogue, last)
    local oldest = redis.call('ZRANGE', key('dialogue_numbers', dialogue), 0, 0)[1]
    if oldest then
        redis.call('ZADD', key('dialogue_spans'), last - oldest + 1, dialogue)
    else
        redis.call('ZREM', key('dialogue_spans'), dialogue)
    end
end

local function uncount(user, by)
    if by > 0 and redis.call('HINCRBY', key('unread'), user, -by) <= 0 then
        redis.call('HDEL', key('unread'), user)
    end
end

function deeds.append()
    local low, high = pair(given.sender, given.receiver)
    local dialogue = find(low, high)
    if not dialogue then
        dialogue = redis.call('INCR', key('dialogues', 'last'))
        redis.call('HSET', key('dialogues'), field(low, high), dialogue)
        redis.call('HSET', key('dialogue', dialogue), 'low', low, 'high', high)
        redis.call('SADD', key('dialogues_with', low), dialogue)
        redis.call('SADD', key('dialogues_with', high), dialogue)
    end
    local number = redis.call('HINCRBY', key('dialogue', dialogue), 'last', 1)
    redis.call('HSET', key('dialogue_messages', dialogue), number, given.record)
    redis.call('ZADD', key('dialogue_numbers', dialogue), number, number)
    redis.call('ZADD', key('dialogue_unread', dialogue, given.receiver), number, number)
    redis.call('HINCRBY', key('unread'), given.receiver, 1)
    redis.call('ZADD', key('dialogue_ages'), given.created, dialogue .. ' ' .. number)
    redis.call('ZADD', key('dialogues_of', low), given.created, padded(dialogue))
    redis.call('ZADD', key('dialogues_of', high), given.created, padded(dialogue))
    note_span(dialogue, number)
    return { tonumber(dialogue), number }
end

function deeds.delivered()
    local news = {}
    for place, noted in ipairs(given.deliveries) do
        news[place] = 0
        if redis.call('HEXISTS', key('dialogue_messages', noted.dialogue), noted.number) == 1 then
            news[place] = redis.call('HSETNX', key('dialogue_delivered', noted.dialogue), noted.number, noted.at)
        end
    end
    return news
end

function deeds.read()
    local dialogue = find(given.reader, given.sender)
    if not dialogue then
        return 0
    end
    local unread = key('dialogue_unread', dialogue, given.reader)
    local numbers = redis.call('ZRANGE', unread, 0, -1)
    for _, number in ipairs(numbers) do
        redis.call('HSET', key('dialogue_read', dialogue), number, given.at)
        redis.call('HSETNX', key('dialogue_delivered', dialogue), number, given.at)
    end
    redis.call('DEL', unread)
    uncount(given.reader, #numbers)
    return #numbers
end

function deeds.page()
    local dialogue = find(given.user, given.other)
    if not dialogue then
        return {}
    end
    local last = redis.call('HGET', key('dialogue', dialogue), 'last')
    local page = {}
    for place, number in ipairs(redis.call('ZREVRANGEBYSCORE', key('dialogue_numbers', dialogue), last - given.skip,
        '-inf', 'LIMIT', 0, given.limit)) do
        page[place] = message(dialogue, number)
    end
    return page
end

function deeds.of()
    local found = {}
    if given.limit == 0 then
        return found
    end
    for place, member in ipairs(redis.call('ZREVRANGE', key('dialogues_of', given.user), given.skip,
        given.skip + given.limit - 1)) do
        local dialogue = tonumber(member)
        local last = redis.call('HGET', key('dialogue', dialogue), 'last')
        found[place] = { redis.call('ZCARD', key('dialogue_unread', dialogue, given.user)), message(dialogue, last) }
    end
    return found
end

function deeds.unread()
    return tonumber(redis.call('HGET', key('unread'), given.user) or 0)
end

local function remove_message(dialogue, number)
    local known = redis.call('HMGET', key('dialogue', dialogue), 'low', 'high', 'last')
    for place = 1, 2 do
        uncount(known[place], redis.call('ZREM', key('dialogue_unread', dialogue, known[place]), number))
    end
    for _, hash in ipairs({ 'dialogue_messages', 'dialogue_delivered', 'dialogue_read' }) do
        redis.call('HDEL', key(hash, dialogue), number)
    end
    redis.call('ZREM', key('dialogue_numbers', dialogue), number)
    redis.call('ZREM', key('dialogue_ages'), dialogue .. ' ' .. number)
    if number == known[3] then
        for place = 1, 2 do
            redis.call('ZREM', key('dialogues_of', known[place]), padded(dialogue))
        end
    end
    note_span(dialogue, known[3])
end

function deeds.remove()
    for _, dialogue in ipairs(redis.call('SMEMBERS', key('dialogues_with', given.user))) do
        for _, number in ipairs(redis.call('ZRANGE', key('dialogue_numbers', dialogue), 0, -1)) do
            remove_message(dialogue, number)
        end
        local users = redis.call('HMGET', key('dialogue', dialogue), 'low', 'high')
        for place = 1, 2 do
            redis.call('SREM', key('dialogues_with', users[place]), dialogue)
        end
        redis.call('HDEL', key('dialogues'), field(users[1], users[2]))
        redis.call('DEL', key('dialogue', dialogue))
    end
    return 1
end

function deeds.trim()
    local removed = 0
    if optional(given.since) then
        for _, place in ipairs(redis.call('ZRANGEBYSCORE', key('dialogue_ages'), '-inf', '(' .. given.since,
            'LIMIT', 0, given.limit)) do
            local dialogue, number = place:match('^(%d+) (%d+)$')
            remove_message(dialogue, number)
            removed = removed + 1
        end
    end
    while optional(given.count_max) and removed < given.limit do
        local dialogue = redis.call('ZRANGEBYSCORE', key('dialogue_spans'), '(' .. given.count_max, '+inf',
            'LIMIT', 0, 1)[1]
        if not dialogue then
            break
        end
        local last = redis.call('HGET', key('dialogue', dialogue), 'last')
        for _, number in ipairs(redis.call('ZRANGEBYSCORE', key('dialogue_numbers', dialogue), '-inf',
            last - given.count_max, 'LIMIT', 0, given.limit - removed)) do
            remove_message(dialogue, number)
            removed = removed + 1
        end
    end
    return removed
end

return deeds[ARGV[1]]()
