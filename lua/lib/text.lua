-- text: numbers cross the Lua border as text, because a Lua number is a double.
local function as_text(number) return string.format('%.0f', number) end
-- Errors of the node, not of the command: nothing ran, and another node may well run it.
local refusals = {OOM = true, MISCONF = true, READONLY = true, NOPERM = true, BUSY = true, LOADING = true, MASTERDOWN = true,
  NOREPLICAS = true}
local function error_of(reply)
  if type(reply) == 'table' and reply.err then return reply.err end
  return nil
end
local function is_refusal(text) return refusals[string.match(text, '^%-?(%u+)')] or false end
