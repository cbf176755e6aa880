-- What every script of the store begins with.
-- KEYS: what the keys of the realm begin with. ARGV: what is to be done, and as JSON with what.
local given = cjson.decode(ARGV[2])
local deeds = {}

-- Keys are made of parts, in none of which is what separates them.
local function encoded(byte)
    return string.format('%%%02x', byte:byte())
end

local function key(...)
    local parts = { KEYS[1] }
    for place, part in ipairs({ ... }) do
        parts[place + 1] = tostring(part):gsub('[%%:{}]', encoded)
    end
    return table.concat(parts, ':')
end

-- What JSON says is null is not there.
local function optional(value)
    if value == cjson.null then
        return nil
    end
    return value
end

-- A number as a member of a sorted set: the order of its digits is its own.
local function padded(number)
    return string.format('%016.0f', number)
end

-- The members of a set in the order of their names, after one of them.
local function names_after(set, after, limit)
    local from = '-'
    if optional(after) then
        from = '(' .. after
    end
    return redis.call('ZRANGEBYLEX', set, from, '+', 'LIMIT', 0, limit)
end
