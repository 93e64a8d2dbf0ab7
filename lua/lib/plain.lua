-- plain: what calls do without that run plain commands only: users' scripts, blocking and stream commands that take their time from the op, states.
local run_user, takers, stream_commands, form_of, elements_within
