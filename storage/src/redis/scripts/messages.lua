-- The messages of a session where they are in another database than its state, or in another slot.
-- KEYS: the messages. ARGV: milliseconds to live; entries at most; their bytes at most; and the entries.
keep(KEYS[1], 4, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
return 1
