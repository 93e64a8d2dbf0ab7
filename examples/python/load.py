"""Works on the keys of the conformance run until its standard input ends, and prints each operation as a line of JSON: python load.py URLS NAME TASKS"""

import asyncio
import json
import random
import sys
import time

from anarcho import Coordinator, Indeterminate, NotApplied

KEYS = 6


async def work(coordinator, name, number, stop):
    client, count = f"{name}{number}", 0
    while not stop.is_set():
        count += 1
        roll, key = random.random(), random.randrange(KEYS)
        # Values are numbers that nobody else sets.
        value = str(int.from_bytes(f"{client}".encode()[-3:], "big") * 1_000_000 + count)
        command = (
            ["GET", f"n:{key}"] if roll < 0.4 else ["SET", f"n:{key}", value] if roll < 0.6 else ["INCR", f"n:{key}"] if roll < 0.7
            else ["INCR", f"count:{key}"] if roll < 0.85 else ["SADD", f"set:{key}", f"{client}-{count}"]
        )
        line = {"client": client, "command": command, "begin": time.monotonic_ns()}
        try:
            reply = await coordinator.execute(*command)
            line["reply"] = reply.decode() if isinstance(reply, bytes) else reply
        except Indeterminate as error:
            line["indeterminate"] = str(error)
        except NotApplied as error:
            line["not_applied"] = str(error)
        line["end"] = time.monotonic_ns()
        print(json.dumps(line), flush=True)
        await asyncio.sleep(0.005)


async def main(urls, name, tasks):
    coordinator = await Coordinator.connect(urls.split(","))
    print("ready", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: stop.set())
    await asyncio.gather(*(work(coordinator, name, number, stop) for number in range(int(tasks))))
    await coordinator.close()


asyncio.run(main(*sys.argv[1:4]))
