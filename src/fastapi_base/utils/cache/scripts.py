"""Lua scripts that Redis runs atomically.

An entry consists of its label, a line feed and its value. An entry with another label than the
reader's is ignored. A reader that finds no entry, or a stale one, gets a lease. For each label, one
reader at a time loads, and stores only while it holds the lease (leases as in Nishtala et al.,
"Scaling Memcache at Facebook", 2013). A reader with another label takes the lease over instead of
waiting for a value that it could not use.

KEYS of both scripts: the entry, its lease.
"""

HIT, STALE, BUSY, RENEW, LOAD = range(5)

# ARGV: the reader's lease, which starts with its label and a space; the lifetime of the lease, and
# the stale period at the end of an entry, both in milliseconds; the label. Reply: the state, the
# value.
LOOK = f"""
local label = ARGV[4]
local value = redis.call('GET', KEYS[1])
if value and string.sub(value, 1, #label + 1) == label .. '\\n' then
  value = string.sub(value, #label + 2)
else
  value = false
end
if value and (value == '' or redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3])) then
  return {{{HIT}, value}}
end
local lease = redis.call('GET', KEYS[2])
-- It is this reader's already where the client asks again after a broken connection.
if lease and lease ~= ARGV[1] and string.sub(lease, 1, #label + 1) == label .. ' ' then
  if value then return {{{STALE}, value}} end
  return {{{BUSY}}}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {{value and {RENEW} or {LOAD}, value or ''}}
"""

# ARGV: the lease, the entry, its lifetime in milliseconds. A lifetime of 0 releases the lease and
# stores nothing.
STORE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[3] == '0' then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
