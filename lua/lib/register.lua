-- register: whose a key is: the longest of the cluster's scopes that it starts with, else its hash tag, else itself.
local function id_of(key)
  for hex in string.gmatch(redis.call('HGET', 'anrcho_node', 'scopes') or '', '(%x*),') do
    local scope = string.gsub(hex, '%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
    if string.sub(key, 1, #scope) == scope then return scope end
  end
  local open = string.find(key, '{', 1, true)
  local close = open and string.find(key, '}', open + 1, true)
  if close and close > open + 1 then return string.sub(key, open + 1, close - 1) end
  return key
end
