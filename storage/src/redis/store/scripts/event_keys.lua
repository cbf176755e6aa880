-- events:last           the last number             event:NUMBER         its fields
-- events_of:USER        numbers in their order      events_pending:USER  by when they are to be sent
-- events_sent:USER      numbers in their order      events_sent          of all users, by when they were to be sent
-- events_sent_counts    users by how many of theirs have arrived

local function store_events(events)
    local numbers = {}
    for place, new in ipairs(events) do
        local number = redis.call('INCR', key('events', 'last'))
        redis.call('HSET', key('event', number), 'id', new.id, 'user', new.user, 'kind', new.kind, 'data', new.data,
            'scheduled', new.scheduled, 'claimed', new.claimed)
        redis.call('ZADD', key('events_pending', new.user), new.scheduled, padded(number))
        redis.call('ZADD', key('events_of', new.user), number, padded(number))
        numbers[place] = number
    end
    return numbers
end
