"""Increments of several connections at a time until standard input ends; then how many, and every error. Usage: load.py URL"""

import json
import sys
import threading
import time

import redis

url = sys.argv[1]
stopped = threading.Event()
totals, errors, longest = [0] * 8, [], [0.0] * 8


def work(place):
    # As an application would write it: no retries, and any error counts.
    r = redis.Redis.from_url(url, retry=None, protocol=2 + place % 2)
    while not stopped.is_set():
        began = time.monotonic()
        try:
            r.incr(f"load:{place}")
            totals[place] += 1
            found = int(r.get(f"load:{place}"))
            if found != totals[place]:
                errors.append(f"{place}: {found} instead of {totals[place]}")
        except Exception as error:
            errors.append(repr(error))
            return
        longest[place] = max(longest[place], time.monotonic() - began)


threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
for thread in threads:
    thread.start()
print("working", flush=True)
sys.stdin.read()
stopped.set()
for thread in threads:
    thread.join()
print(json.dumps({"done": sum(totals), "errors": errors, "longest": max(longest)}))
