-- so_far: see lib/seldom.lua.
return run_op, run_read, error_of
end
