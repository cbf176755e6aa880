-- account:ID      its fields                        accounts   ids in their order
-- usernames       username -> id                    emails     e-mail address -> id
-- tenant:SCHEMA   its fields                        tenants    id -> schema name

local function account(id)
    return redis.call('HGETALL', key('account', id))
end

function deeds.create()
    local ids, usernames, emails = {}, {}, {}
    for place, new in ipairs(given.accounts) do
        local id, username, email = new.id, new.username, new.email
        local taken
        if ids[id] or redis.call('EXISTS', key('account', id)) == 1 then
            taken = 'id'
        elseif usernames[username] or redis.call('HEXISTS', key('usernames'), username) == 1 then
            taken = 'username'
        elseif email and (emails[email] or redis.call('HEXISTS', key('emails'), email) == 1) then
            taken = 'email'
        end
        if taken then
            return { tostring(place - 1), taken }
        end
        ids[id], usernames[username] = true, true
        if email then
            emails[email] = true
        end
    end
    for _, new in ipairs(given.accounts) do
        for field, value in pairs(new) do
            redis.call('HSET', key('account', new.id), field, value)
        end
        redis.call('ZADD', key('accounts'), 0, new.id)
        redis.call('HSET', key('usernames'), new.username, new.id)
        if new.email then
            redis.call('HSET', key('emails'), new.email, new.id)
        end
    end
    return {}
end

function deeds.by_ids()
    local found = {}
    for place, id in ipairs(given.ids) do
        found[place] = account(id)
    end
    return found
end

function deeds.by_login()
    local id = redis.call('HGET', key('emails'), given.login) or redis.call('HGET', key('usernames'), given.login)
    return { id and account(id) or {} }
end

function deeds.list()
    local found = {}
    for place, id in ipairs(names_after(key('accounts'), given.after, given.limit)) do
        found[place] = account(id)
    end
    return found
end

function deeds.note()
    if redis.call('EXISTS', key('account', given.id)) == 1 then
        redis.call('HSET', key('account', given.id), given.field, given.value)
    end
    return 1
end

function deeds.remove()
    local known = redis.call('HMGET', key('account', given.id), 'username', 'email')
    if not known[1] then
        return 0
    end
    redis.call('HDEL', key('usernames'), known[1])
    if known[2] then
        redis.call('HDEL', key('emails'), known[2])
    end
    redis.call('ZREM', key('accounts'), given.id)
    redis.call('DEL', key('account', given.id))
    return 1
end

function deeds.create_tenants()
    local ids, names = {}, {}
    for place, new in ipairs(given.tenants) do
        local taken
        if ids[new.id] or redis.call('HEXISTS', key('tenants'), new.id) == 1 then
            taken = 'id'
        elseif names[new.schema_name] or redis.call('EXISTS', key('tenant', new.schema_name)) == 1 then
            taken = 'schema_name'
        end
        if taken then
            return { tostring(place - 1), taken }
        end
        ids[new.id], names[new.schema_name] = true, true
    end
    for _, new in ipairs(given.tenants) do
        for field, value in pairs(new) do
            redis.call('HSET', key('tenant', new.schema_name), field, value)
        end
        redis.call('HSET', key('tenants'), new.id, new.schema_name)
    end
    return {}
end

function deeds.tenant()
    return redis.call('HGETALL', key('tenant', given.schema_name))
end

return deeds[ARGV[1]]()
