"""What Redis does in one step.

Whoever finds nothing, or something stale, gets a lease: one reader at a time loads. Dropping an
entry takes the lease away too, so that a value which was read before the change is not stored after
it (leases as in Nishtala et al., "Scaling Memcache at Facebook", 2013). A tag is a random word: an
entry holds the words that its tags had when its lease was given, and counts while they are the
same. Dropping a tag removes its word, and the next one is another.

KEYS of both: the entry, its lease; of the first also the entry's tags.
"""

HIT, STALE, BUSY, RENEW, LOAD = range(5)

# ARGV: the lease's token, its life, how long entries are stale at their end, the life of tags; in
# milliseconds. The reply: the state, the value, the words of the tags.
LOOK = f"""
local words = {{}}
for i = 3, #KEYS do words[i - 2] = redis.call('GET', KEYS[i]) or '' end
local value = redis.call('GET', KEYS[1])
if value then
  local cut = string.find(value, '\\n', 1, true)
  if cut and string.sub(value, 1, cut - 1) == table.concat(words, ' ') then
    value = string.sub(value, cut + 1)
  else
    value = false
  end
end
if value and (value == '' or redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3])) then
  return {{{HIT}, value}}
end
-- The token is this reader's already where the client asks again after a broken connection.
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
    and redis.call('GET', KEYS[2]) ~= ARGV[1] then
  if value then return {{{STALE}, value}} end
  return {{{BUSY}}}
end
for i = 3, #KEYS do
  if words[i - 2] == '' then
    words[i - 2] = ARGV[1]
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[4])
  else
    redis.call('PEXPIRE', KEYS[i], ARGV[4], 'GT')
  end
end
return {{value and {RENEW} or {LOAD}, value or '', table.concat(words, ' ')}}
"""

# ARGV: the lease's token, the words of the tags, the value, its life in milliseconds; a life of 0
# gives the lease back and stores nothing.
STORE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[4] == '0' then return 0 end
redis.call('SET', KEYS[1], ARGV[2] .. '\\n' .. ARGV[3], 'PX', ARGV[4])
return 1
"""
