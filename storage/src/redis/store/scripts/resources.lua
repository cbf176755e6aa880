-- last               the last id                          resource:ID        its fields
-- shelf:NAME:INSIDE  ids in their order; INSIDE is empty for what is inside of nothing
-- ages:NAME:INSIDE   ids by when they were made           inside:ID          ids of what is inside of it
-- owned:NAME:OWNER   ids of his

local FIELDS = { 'owner', 'at', 'fields' }

local function shelf(set)
    return key(set, given.name, optional(given.inside) or '')
end

local function resource(id)
    local known = redis.call('HMGET', key('resource', tonumber(id)), unpack(FIELDS))
    return { string.format('%.0f', tonumber(id)), known[1], known[2], known[3] }
end

local function is_here(id)
    return redis.call('ZSCORE', shelf('shelf'), padded(id))
end

local function remove(id)
    local member = padded(id)
    local known = redis.call('HMGET', key('resource', tonumber(id)), 'name', 'inside', 'owner')
    if not known[1] then
        return
    end
    for _, inner in ipairs(redis.call('ZRANGE', key('inside', tonumber(id)), 0, -1)) do
        remove(inner)
    end
    redis.call('ZREM', key('shelf', known[1], known[2]), member)
    redis.call('ZREM', key('ages', known[1], known[2]), member)
    redis.call('ZREM', key('owned', known[1], known[3]), member)
    if known[2] ~= '' then
        redis.call('ZREM', key('inside', known[2]), member)
    end
    redis.call('DEL', key('resource', tonumber(id)))
end

function deeds.create()
    local inside = optional(given.inside)
    if inside and redis.call('EXISTS', key('resource', inside)) == 0 then
        return 0
    end
    local id = redis.call('INCR', key('last'))
    local member = padded(id)
    redis.call('HSET', key('resource', id), 'name', given.name, 'inside', inside or '', 'owner', given.owner,
        'at', given.at, 'fields', given.fields)
    redis.call('ZADD', shelf('shelf'), id, member)
    redis.call('ZADD', shelf('ages'), given.at, member)
    redis.call('ZADD', key('owned', given.name, given.owner), id, member)
    if inside then
        redis.call('ZADD', key('inside', inside), id, member)
    end
    return id
end

function deeds.one()
    if is_here(given.id) then
        return { resource(given.id) }
    end
    return {}
end

function deeds.page()
    local found = {}
    if given.limit > 0 then
        for place, id in ipairs(redis.call('ZRANGE', shelf('shelf'), given.skip, given.skip + given.limit - 1)) do
            found[place] = resource(id)
        end
    end
    return { redis.call('ZCARD', shelf('shelf')), found }
end

-- Whoever revises has read the fields, and sets them only if nobody else has meanwhile.
function deeds.revise()
    local of = key('resource', given.id)
    if not is_here(given.id) or redis.call('HGET', of, 'fields') ~= given.before then
        return 0
    end
    redis.call('HSET', of, 'fields', given.fields)
    return 1
end

function deeds.remove()
    if not is_here(given.id) then
        return 0
    end
    remove(given.id)
    return 1
end

function deeds.remove_of()
    for _, name in ipairs(given.names) do
        for _, id in ipairs(redis.call('ZRANGE', key('owned', name, given.owner), 0, -1)) do
            remove(id)
        end
    end
    return 1
end

function deeds.trim()
    local removed = 0
    if optional(given.since) then
        for _, id in ipairs(redis.call('ZRANGEBYSCORE', shelf('ages'), '-inf', '(' .. given.since,
            'LIMIT', 0, given.limit)) do
            remove(id)
            removed = removed + 1
        end
    end
    if optional(given.count_max) then
        local excess = redis.call('ZCARD', shelf('shelf')) - given.count_max
        local last = math.min(excess, given.limit - removed) - 1
        if last >= 0 then
            for _, id in ipairs(redis.call('ZRANGE', shelf('shelf'), 0, last)) do
                remove(id)
                removed = removed + 1
            end
        end
    end
    return removed
end

return deeds[ARGV[1]]()
