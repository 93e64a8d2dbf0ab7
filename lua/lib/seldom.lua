-- seldom: what follows, up to lib/so_far.lua, is made only by a call that needs it: each function that a script makes costs it as much as a small command.
local function seldom()
