-- channel:ID             name, sequence (the last post's number), posts (how many)
-- channel_members:ID     members in the order of their names       channels_of:MEMBER   ids in their order
-- channel_posted:ID      member -> how many posts are his          channel_read:ID      member -> how many he has read
-- posts:ID               numbers                                   post_records:ID      number -> what was said, as JSON
-- post_numbers:ID        post's id -> number                       readers:ID:NUMBER    in the order of their names
-- read_at:ID:NUMBER      reader -> when                            posts_counts         channels by how many posts
-- posts_oldest           channels by when their oldest post was said

local function count(hash, member)
    return tonumber(redis.call('HGET', hash, member) or 0)
end

local function is_member(id, member)
    return redis.call('ZSCORE', key('channel_members', id), member)
end

local function record(id, number)
    return redis.call('HGET', key('post_records', id), number)
end

-- name, members, unread, sequence
local function seen_by(id, member)
    local known = redis.call('HMGET', key('channel', id), 'name', 'sequence', 'posts')
    local unread = tonumber(known[3]) - count(key('channel_posted', id), member) - count(key('channel_read', id), member)
    return known[1], redis.call('ZCARD', key('channel_members', id)), unread, known[2]
end

-- At most `limit` readers, the one who asks among them, the first reader first.
local function readers_of(id, number, asker, limit)
    local set = key('readers', id, number)
    local names = redis.call('ZRANGE', set, 0, limit - 1)
    if redis.call('ZSCORE', set, asker) then
        local is_among = false
        for _, name in ipairs(names) do
            is_among = is_among or name == asker
        end
        if not is_among then
            names[#names] = asker
        end
    end
    local at = {}
    for _, name in ipairs(names) do
        at[name] = tonumber(redis.call('HGET', key('read_at', id, number), name))
    end
    table.sort(names, function(one, other)
        if at[one] ~= at[other] then
            return at[one] < at[other]
        end
        return one < other
    end)
    return names
end

-- The newest posts before a number, the newest first.
local function latest(id, before, asker, posts, readers)
    local found = {}
    if posts == 0 then
        return found
    end
    for place, number in ipairs(redis.call('ZREVRANGEBYSCORE', key('posts', id), before, '-inf', 'LIMIT', 0, posts)) do
        local names = {}
        if readers > 0 then
            names = readers_of(id, number, asker, readers)
        end
        found[place] = { number, record(id, number), names }
    end
    return found
end

-- Keeps right by what posts are looked for that have to go.
local function note_oldest(id)
    local oldest = redis.call('ZRANGE', key('posts', id), 0, 0)[1]
    if oldest then
        redis.call('ZADD', key('posts_oldest'), cjson.decode(record(id, oldest)).at, id)
        redis.call('ZADD', key('posts_counts'), redis.call('ZCARD', key('posts', id)), id)
    else
        redis.call('ZREM', key('posts_oldest'), id)
        redis.call('ZREM', key('posts_counts'), id)
    end
end

local function remove_post(id, number)
    local said = cjson.decode(record(id, number))
    for _, reader in ipairs(redis.call('ZRANGE', key('readers', id, number), 0, -1)) do
        redis.call('HINCRBY', key('channel_read', id), reader, -1)
    end
    redis.call('DEL', key('readers', id, number), key('read_at', id, number))
    redis.call('HINCRBY', key('channel_posted', id), said.author, -1)
    redis.call('HDEL', key('post_records', id), number)
    redis.call('HDEL', key('post_numbers', id), said.id)
    redis.call('ZREM', key('posts', id), number)
    redis.call('HINCRBY', key('channel', id), 'posts', -1)
end

local function first_taken()
    local ids = {}
    for place, new in ipairs(given.channels) do
        if ids[new.id] or redis.call('EXISTS', key('channel', new.id)) == 1 then
            return place
        end
        ids[new.id] = true
    end
    return 0
end

function deeds.check()
    return first_taken()
end

function deeds.create()
    local taken = first_taken()
    if taken > 0 then
        return taken
    end
    for _, new in ipairs(given.channels) do
        redis.call('HSET', key('channel', new.id), 'sequence', 0, 'posts', 0)
        if optional(new.name) then
            redis.call('HSET', key('channel', new.id), 'name', new.name)
        end
        for _, member in ipairs(new.members) do
            redis.call('ZADD', key('channel_members', new.id), 0, member)
            redis.call('ZADD', key('channels_of', member), 0, new.id)
        end
    end
    return 0
end

function deeds.view()
    local id, member = given.channel, given.member
    if not is_member(id, member) then
        return false
    end
    local name, members, unread, sequence = seen_by(id, member)
    return { { id, name, members, unread, sequence }, latest(id, '+inf', member, given.posts, given.readers) }
end

function deeds.members()
    return redis.call('ZRANGE', key('channel_members', given.channel), 0, given.limit - 1)
end

function deeds.memberships()
    local of = key('channels_of', given.member)
    local found = {}
    if given.limit > 0 then
        for place, id in ipairs(redis.call('ZRANGE', of, given.skipped, given.skipped + given.limit - 1)) do
            local name, members, unread, sequence = seen_by(id, given.member)
            found[place] = { { id, name, members, unread, sequence }, latest(id, '+inf', given.member, 1, 0) }
        end
    end
    return { redis.call('ZCARD', of), found }
end

function deeds.channels_of()
    return redis.call('ZRANGE', key('channels_of', given.member), 0, -1)
end

function deeds.remove_member()
    local member = given.member
    for _, id in ipairs(redis.call('ZRANGE', key('channels_of', member), 0, -1)) do
        local has_posted = count(key('channel_posted', id), member) > 0
        local has_read = count(key('channel_read', id), member) > 0
        if has_posted or has_read then
            for _, number in ipairs(redis.call('ZRANGE', key('posts', id), 0, -1)) do
                redis.call('ZREM', key('readers', id, number), member)
                redis.call('HDEL', key('read_at', id, number), member)
                if has_posted and cjson.decode(record(id, number)).author == member then
                    remove_post(id, number)
                end
            end
            note_oldest(id)
        end
        redis.call('HDEL', key('channel_posted', id), member)
        redis.call('HDEL', key('channel_read', id), member)
        redis.call('ZREM', key('channel_members', id), member)
    end
    redis.call('DEL', key('channels_of', member))
    return 1
end

function deeds.say()
    local numbers = {}
    for place, new in ipairs(given.posts) do
        local id = new.channel
        numbers[place] = false
        if is_member(id, new.author) then
            local number = redis.call('HINCRBY', key('channel', id), 'sequence', 1)
            local posts = redis.call('HINCRBY', key('channel', id), 'posts', 1)
            redis.call('HINCRBY', key('channel_posted', id), new.author, 1)
            redis.call('ZADD', key('posts', id), number, number)
            redis.call('HSET', key('post_records', id), number, new.record)
            redis.call('HSET', key('post_numbers', id), new.id, number)
            redis.call('ZADD', key('posts_counts'), posts, id)
            if posts == 1 then
                redis.call('ZADD', key('posts_oldest'), new.at, id)
            end
            numbers[place] = number
        end
    end
    return numbers
end

function deeds.page()
    local id, member = given.channel, given.member
    if not is_member(id, member) then
        return { 'channel', {} }
    end
    local before = '+inf'
    if optional(given.before) then
        local number = redis.call('HGET', key('post_numbers', id), given.before)
        if not number then
            return { 'post', {} }
        end
        before = '(' .. number
    end
    return { 'page', latest(id, before, member, given.posts, given.readers) }
end

local function note_reading(reading)
    local id, reader = reading.channel, reading.reader
    local number = redis.call('HGET', key('post_numbers', id), reading.post)
    if not number or not is_member(id, reader) then
        return 'unknown'
    end
    if cjson.decode(record(id, number)).author == reader then
        return 'known'
    end
    if redis.call('ZADD', key('readers', id, number), 'NX', 0, reader) == 0 then
        return 'known'
    end
    redis.call('HSET', key('read_at', id, number), reader, reading.at)
    redis.call('HINCRBY', key('channel_read', id), reader, 1)
    return 'noted'
end

function deeds.read()
    local noted = {}
    for place, reading in ipairs(given.readings) do
        noted[place] = note_reading(reading)
    end
    return noted
end

-- A channel with posts that have to go, and the number before which all of its oldest go.
local function crowded()
    if optional(given.since) then
        local id = redis.call('ZRANGEBYSCORE', key('posts_oldest'), '-inf', '(' .. given.since, 'LIMIT', 0, 1)[1]
        if id then
            return id
        end
    end
    if optional(given.count_max) then
        return redis.call('ZRANGEBYSCORE', key('posts_counts'), '(' .. given.count_max, '+inf', 'LIMIT', 0, 1)[1]
    end
end

function deeds.trim()
    local removed = 0
    while removed < given.limit do
        local id = crowded()
        if not id then
            break
        end
        local beyond = 0
        if optional(given.count_max) then
            beyond = redis.call('ZCARD', key('posts', id)) - given.count_max
        end
        for place, number in ipairs(redis.call('ZRANGE', key('posts', id), 0, given.limit - removed - 1)) do
            local is_old = optional(given.since) and cjson.decode(record(id, number)).at < given.since
            if not is_old and place > beyond then
                break
            end
            remove_post(id, number)
            removed = removed + 1
        end
        note_oldest(id)
    end
    return removed
end

return deeds[ARGV[1]]()
