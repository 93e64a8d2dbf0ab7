"""Moves a register's state from one node to another, visible only with the settle at the end."""

import secrets

from .node import Away

LIMIT, SLICE, PATIENCE_S = str(1024 * 1024), "1000", 30
STRING_SLICE = 1024 * 1024


class Moved(Exception):
    """The source is no longer at that history, or the register is one for anarcho-heal (more than 5,000 keys)."""


def record_of(register):
    return b"anrcho_version:{" + register + b"}"


async def transfer(coordinator, register, ballot, version, digest, source, target, dirty="0", epoch=None):
    """Settles this history on the target, with what it lacks. Answers the settle's reply."""
    record = record_of(register)

    async def settle(mode, base=b"", ops=b"", state=()):
        return await target.call("settle", [record], [ballot, version, digest, mode, base, ops, dirty, *state], epoch, PATIENCE_S)

    page = await target.call("digest", [record], ["of"], epoch, PATIENCE_S)
    known = page[2][0][2]
    if known == digest:
        return await settle("confirm")
    for base in [known, b""] if known else [b""]:
        what = ["since", LIMIT, base] if base else ["all", LIMIT]
        reply = await snapshot(source, record, [], what, version, digest)
        if reply[8] == b"many":
            raise Moved("it has more keys than one call takes")
        states = await complete(source, target, record, reply[10], version, digest)
        ops, multi, log = reply[6], reply[7], reply[9]
        args = [multi, str(len(log)), *log, str(len(states))]
        for name, form, expiry, elements in states:
            args += [name, form, expiry, str(len(elements)), *elements]
        answer = await settle(reply[8], base if reply[8] == b"delta" else b"", ops, args)
        if answer[0] == b"REFUSED" and b"DUMP payload version" in answer[1]:
            # An older server does not read a newer one's streams: they go entry by entry.
            for state in states:
                if state[1] == b"dump":
                    spelled = await snapshot(source, record, [state[0]], ["streams", LIMIT], version, digest)
                    state[:] = spelled[10][0]
            args = [multi, str(len(log)), *log, str(len(states))]
            for name, form, expiry, elements in states:
                args += [name, form, expiry, str(len(elements)), *elements]
            answer = await settle(reply[8], base if reply[8] == b"delta" else b"", ops, args)
        if answer[0] == b"SETTLED":
            return answer
    return answer


async def snapshot(source, record, keys, what, version, digest):
    reply = await source.call("snapshot", [record, *keys], what, None, PATIENCE_S)
    if reply[0] != b"SNAPSHOT" or (reply[4], reply[5]) != (version, digest):
        raise Moved(reply[0].decode())
    return reply


async def complete(source, target, record, states, version, digest):
    """Fetches what did not fit into the first answer, and takes large keys over in slices."""
    done = []
    states = [list(state) for state in states]
    while states:
        later = [state for state in states if state[1] == b"later"][:1000]
        for state in states:
            if state[1] == b"large":
                state = await stage(source, target, record, state, version, digest)
            if state[1] != b"later":
                done.append(state)
        left = [state for state in states if state[1] == b"later"][1000:]
        states = left
        if later:
            more = await snapshot(source, record, [state[0] for state in later], ["keys", LIMIT], version, digest)
            states = [list(state) for state in more[10]] + left
    return done


async def stage(source, target, record, state, version, digest):
    name, _, expiry, (form, length) = state
    staging, ttl = f"anrcho_stage:{secrets.token_hex(8)}".encode(), "60000"

    async def piece(position, count):
        reply = await source.call("snapshot", [record, name], ["slice", LIMIT, position, count], None, PATIENCE_S)
        if reply[0] != b"SLICE" or (reply[1], reply[2]) != (version, digest):
            raise Moved(reply[0].decode())
        return reply[3], reply[4]

    async def put(first, elements):
        reply = await target.call("stage", [record, staging], [form, first, ttl, *elements], None, PATIENCE_S)
        if reply[0] != b"STAGED":
            raise Away(str(reply))
        return reply[1]

    staged, first = b"0", "1"
    if form == b"string":
        # The end comes first, so that the server makes room once.
        for place in reversed(range(0, int(length), STRING_SLICE)):
            _, elements = await piece(str(place), str(STRING_SLICE))
            staged, first = await put(f"{first}@{place}", elements), "0"
    else:
        position = b"0"
        while first == "1" or position != b"0":
            position, elements = await piece(position, SLICE)
            if elements:
                staged, first = await put(first, elements), "0"
    return [name, b"staged", expiry, [staging, form, staged]]
