-- conversation:ID           name, created             conversation_members:ID    users in the order of their names
-- conversations_of:USER     ids in their order        messages:last              the last number
-- message:NUMBER            its fields                messages_of:CONVERSATION   numbers in their order
-- messages_by:USER          numbers of his            messages                   of all conversations, by when
-- messages_counts           conversations by how many messages they have

local function conversation(id)
    local known = redis.call('HMGET', key('conversation', id), 'created', 'name')
    if not known[1] then
        return {}
    end
    return { id, known[1], known[2], redis.call('ZRANGE', key('conversation_members', id), 0, -1) }
end

local function count_messages(id)
    local count = redis.call('ZCARD', key('messages_of', id))
    if count == 0 then
        redis.call('ZREM', key('messages_counts'), id)
    else
        redis.call('ZADD', key('messages_counts'), count, id)
    end
end

local function forget(number)
    local known = redis.call('HMGET', key('message', tonumber(number)), 'conversation', 'sender')
    local member = padded(number)
    redis.call('ZREM', key('messages_of', known[1]), member)
    redis.call('ZREM', key('messages_by', known[2]), member)
    redis.call('ZREM', key('messages'), member)
    redis.call('DEL', key('message', tonumber(number)))
    count_messages(known[1])
end

function deeds.create()
    local ids = {}
    for place, new in ipairs(given.conversations) do
        if ids[new.id] or redis.call('EXISTS', key('conversation', new.id)) == 1 then
            return { tostring(place - 1), 'id' }
        end
        ids[new.id] = true
    end
    for _, new in ipairs(given.conversations) do
        redis.call('HSET', key('conversation', new.id), 'created', new.created)
        if optional(new.name) then
            redis.call('HSET', key('conversation', new.id), 'name', new.name)
        end
        for _, member in ipairs(new.members) do
            redis.call('ZADD', key('conversation_members', new.id), 0, member)
            redis.call('ZADD', key('conversations_of', member), 0, new.id)
        end
    end
    return {}
end

function deeds.one()
    return conversation(given.id)
end

function deeds.of()
    local found = {}
    for place, id in ipairs(names_after(key('conversations_of', given.user), given.after, given.limit)) do
        found[place] = conversation(id)
    end
    return found
end

function deeds.post()
    local new = given.message
    local number = redis.call('INCR', key('messages', 'last'))
    local member = padded(number)
    redis.call('HSET', key('message', number), 'id', new.id, 'conversation', new.conversation, 'sender', new.sender,
        'content', new.content, 'created', new.created)
    redis.call('ZADD', key('messages_of', new.conversation), number, member)
    redis.call('ZADD', key('messages_by', new.sender), number, member)
    redis.call('ZADD', key('messages'), new.created, member)
    count_messages(new.conversation)
    return store_events(given.events)
end

function deeds.remove_user()
    local user = given.user
    for _, number in ipairs(redis.call('ZRANGE', key('messages_by', user), 0, -1)) do
        forget(number)
    end
    for _, id in ipairs(redis.call('ZRANGE', key('conversations_of', user), 0, -1)) do
        redis.call('ZREM', key('conversation_members', id), user)
        if redis.call('EXISTS', key('conversation_members', id)) == 0 then
            for _, number in ipairs(redis.call('ZRANGE', key('messages_of', id), 0, -1)) do
                forget(number)
            end
            redis.call('DEL', key('conversation', id))
        end
    end
    redis.call('DEL', key('conversations_of', user))
    return 1
end

function deeds.trim()
    local removed = 0
    if optional(given.since) then
        for _, number in ipairs(redis.call('ZRANGEBYSCORE', key('messages'), '-inf', '(' .. given.since,
            'LIMIT', 0, given.limit)) do
            forget(number)
            removed = removed + 1
        end
    end
    while optional(given.count_max) and removed < given.limit do
        local id = redis.call('ZRANGEBYSCORE', key('messages_counts'), '(' .. given.count_max, '+inf',
            'LIMIT', 0, 1)[1]
        if not id then
            break
        end
        local excess = redis.call('ZCARD', key('messages_of', id)) - given.count_max
        local last = math.min(excess, given.limit - removed) - 1
        for _, number in ipairs(redis.call('ZRANGE', key('messages_of', id), 0, last)) do
            forget(number)
            removed = removed + 1
        end
    end
    return removed
end

return deeds[ARGV[1]]()
