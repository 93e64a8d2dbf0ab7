"""Replays lua/vectors on an empty server of one's own (it is flushed): python vectors.py redis://127.0.0.1:6379

Shows how the scripts are called, without any coordinator. Exits with 1 where a reply or what the server holds differs.
"""

import asyncio
import json
import sys

from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import ResponseError

from anarcho import scripts
from anarcho.node import WholeErrors


def as_bytes(text):
    return text.encode("latin-1")


def expand(arg, kept):
    """The arguments that one of the file stands for."""
    if isinstance(arg, str):
        return [as_bytes(arg)]
    if "kept" in arg:
        return [kept[arg["kept"]]]
    prefix, first, last = arg["each"]
    return [as_bytes(f"{prefix}{number}") for number in range(first, last + 1)]


def fits(expected, reply, kept):
    if isinstance(expected, str):
        return as_bytes(expected) == reply
    if expected is None or isinstance(expected, int):
        return expected == reply
    if isinstance(expected, list):
        return isinstance(reply, list) and len(reply) == len(expected) and all(fits(e, r, kept) for e, r in zip(expected, reply))
    ((kind, what),) = expected.items()
    if kind == "error":
        text = str(reply) if isinstance(reply, ResponseError) else None
        return text is not None and (text == what if isinstance(what, str) else text.startswith(what["starts"]))
    if kind == "number":
        return isinstance(reply, bytes) and reply.isdigit()
    if kind == "starts":
        return isinstance(reply, bytes) and reply.startswith(as_bytes(what))
    if kind == "unordered":
        left = list(reply)
        for item in what:
            found = next((index for index, other in enumerate(left) if fits(item, other, kept)), None)
            if found is None:
                return False
            del left[found]
        return not left
    kept[what] = reply  # keep
    return isinstance(reply, bytes)


async def main(url, lua=None):
    texts, contract = scripts.load(lua)
    folder = (scripts.folder() if lua is None else lua) / "vectors"
    state_lua = (folder / "state.lua").read_bytes()
    connection = Connection(**parse_url(url), protocol=2, parser_class=WholeErrors, socket_timeout=None)
    await connection.connect()

    async def run(*words):
        await connection.send_command(*words)
        try:
            return await connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    for _, text in texts.values():
        await run("SCRIPT", "LOAD", text)
    info = (await run("INFO", "server")).decode()
    version = [int(part) for part in info.split("redis_version:")[1].split()[0].split(".")]
    steps = failures = 0
    for path in sorted(folder.glob("*.json")):
        file = json.loads(path.read_text())
        assert file["contract"] == contract, f"{path.name} is of contract {file['contract']}"
        for case in file["cases"]:
            if version < [int(part) for part in case.get("since", "0").split(".")]:
                continue
            await run("FLUSHALL")
            await run("CONFIG", "SET", "maxmemory", "0")
            kept, state = {}, {}
            for number, step in enumerate(case["steps"], 1):
                steps += 1
                words = lambda name: [word for arg in step.get(name, []) for word in expand(arg, kept)]  # noqa: E731
                if "call" in step:
                    keys = words("keys")
                    reply = await run("EVALSHA", texts[step["call"]][0], str(len(keys)), *keys, *words("args"))
                else:
                    reply = await run(*words("command"))
                for key, value in step.get("changes", {}).items():
                    state.pop(key, None) if value is None else state.update({key: value})
                found = {row[0]: row[1:] for row in await run("EVAL", state_lua, "0")}
                wrong = None
                if "reply" in step and not fits(step["reply"], reply, kept):
                    wrong = f"answered {reply}"
                elif found.keys() != {as_bytes(key) for key in state} or not all(fits(value, found[as_bytes(key)], kept) for key, value in state.items()):
                    wrong = f"the server holds {found}"
                if wrong:
                    failures += 1
                    print(f"{path.stem}: {case['name']}: step {number}: {wrong}\n    {json.dumps(step)[:1000]}")
                    break
    print(f"{steps} steps, {failures} failures")
    await connection.disconnect()
    return failures == 0


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(sys.argv[1])) else 1)
