-- take: what a blocking command tries. Where nothing is there, nothing is changed; a key of another type is an error at first and has nothing yet `later`.
-- TAKE count-by take-by at-most later tell key ...: from the first key that has something; as BLPOP, or BZPOPMIN, or with at-most as BLMPOP, or BZMPOP answers.
-- TAKEMOVE later tell command source destination [end ...]. `tell` ('1'): answers {reply, number left}. Answers the reply, and whether anything was changed.
local function takers()
  local function take_from(words)
    local count_by, take_by, at_most = words[2], words[3], words[4]
    for i = 7, #words do
      local key = words[i]
      local count = redis.pcall(count_by, key)
      if error_of(count) then
        if words[5] ~= '1' or is_refusal(error_of(count)) then return count, false end
      elseif count > 0 then
        local taken
        if at_most == '' then taken = redis.pcall(take_by, key) else taken = redis.pcall(take_by, key, at_most) end
        if error_of(taken) then return taken, false end
        local reply = {key, taken}
        if count_by == 'ZCARD' and at_most == '' then
          reply = {key, taken[1], taken[2]}
        elseif count_by == 'ZCARD' then
          local rows = {}
          for j = 1, #taken, 2 do rows[#rows + 1] = {taken[j], taken[j + 1]} end
          reply = {key, rows}
        end
        return words[6] == '1' and {reply, redis.call(count_by, key)} or reply, true
      end
    end
    return false, false
  end
  local function take_and_move(words)
    local count = redis.pcall('LLEN', words[5])
    if error_of(count) and (words[2] ~= '1' or is_refusal(error_of(count))) then return count, false end
    if error_of(count) or count == 0 then return false, false end
    local moved = redis.pcall(unpack(words, 4))
    if error_of(moved) then return moved, false end
    return words[3] == '1' and {moved, redis.call('LLEN', words[5])} or moved, true
  end
  return {TAKE = take_from, TAKEMOVE = take_and_move}
end
