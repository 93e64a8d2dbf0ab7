-- text: numbers cross the Lua border as text, because a Lua number is a double.
local function as_text(number) return string.format('%.0f', number) end
-- Errors of the node, not of the command: nothing ran, and another node may well run it.
local refusals = ' OOM MISCONF READONLY NOPERM BUSY LOADING MASTERDOWN NOREPLICAS '
local function error_of(reply)
  if type(reply) ~= 'table' or not reply.err then return nil end
  -- Redis 6.2 says where in the script its own errors came up: '@user_script: 12: -OOM ...\r\n'.
  local text = string.match(reply.err, '^@[^:]*: %d+: %-?(.-)%s*$')
  if not text then text = reply.err
  elseif not string.match(text, '^%u+ ') then text = 'ERR ' .. text end
  -- Valkey repeats a member that is not there, whatever its bytes; clients end the connection where an error is not UTF-8.
  return (string.gsub(text, '[\128-\255]', '?'))
end
-- What the node's access rules forbid has a code of its own only outside of scripts.
local function is_refusal(text)
  local code = ' ' .. (string.match(text, '^%u+') or '-') .. ' '
  return string.find(refusals, code, 1, true) ~= nil or string.find(text, 'ACL failure in script', 1, true) ~= nil
    or string.find(text, 'The user executing the script', 1, true) ~= nil
end
