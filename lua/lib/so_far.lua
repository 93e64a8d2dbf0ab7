-- so_far: see lib/seldom.lua.
return run_op, run_read, confirm, error_of
end
