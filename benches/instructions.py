#!/usr/bin/env python3
"""Machine instructions that a redis-server takes for one operation, by valgrind's callgrind: the same on a busy machine.

    benches/instructions.py [SERVER]        needs Python 3 and valgrind; SERVER is redis-server where nothing is said
"""
import os, pathlib, re, socket, subprocess, sys, tempfile, time

LUA = pathlib.Path(__file__).resolve().parent.parent / "lua"
KEYS, CALLS, FENCE, VALUE = 500, 1024, "f" * 40, "x" * 100
COORDINATOR = "%016x" % 10


def pasted(name):
    body = (LUA / f"{name}.lua").read_text()
    uses = re.search(r"^-- USES(.*)$", body, re.M).group(1).split()
    return "".join((LUA / "lib" / f"{part}.lua").read_text() for part in uses) + body


def encoded(words):
    words = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Server:
    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory()
        place = self.folder.name
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={place}/out"]
        settings = ["--port", "0", "--unixsocket", f"{place}/s", "--save", "", "--dir", place, "--loglevel", "warning"]
        self.process = subprocess.Popen(valgrind + [program] + settings, stdout=subprocess.DEVNULL)
        while not os.path.exists(f"{place}/s"):
            assert self.process.poll() is None, "the server did not start"
            time.sleep(0.05)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(f"{place}/s")
        self.replies = self.socket.makefile("rb")

    def reply(self):
        line = self.replies.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.replies.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        assert kind != b"-", line
        return rest

    def ask(self, *words):
        self.socket.sendall(encoded(words))
        return self.reply()

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.process.pid)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, name, calls, each):
        """Instructions for one operation, where a call has `each` of them."""
        for words in calls[: KEYS // each + 1]:
            self.ask(*words)
        self.control("--instr=on")
        self.control("-z")
        for words in calls[KEYS // each + 1 :]:
            self.ask(*words)
        self.control(f"--dump={name}")
        self.control("--instr=off")
        dumps = [path for path in pathlib.Path(self.folder.name).glob("out*") if f"Trigger: dump {name}\n" in path.read_text(errors="replace")]
        table = subprocess.run(["callgrind_annotate", dumps[-1]], check=True, capture_output=True, text=True).stdout
        total = int(re.search(r"([\d,]+) \(100.0%\)  PROGRAM", table).group(1).replace(",", ""))
        return total // ((len(calls) - KEYS // each - 1) * each)


def main():
    server = Server(sys.argv[1] if len(sys.argv) > 1 else "redis-server")
    server.ask("SET", "anrcho_fence", FENCE)
    sha = {name: server.ask("SCRIPT", "LOAD", pasted(name)).decode() for name in ["apply", "read", "bunch", "settle"]}
    bare = server.ask("SCRIPT", "LOAD", "return redis.call(unpack(ARGV))").decode()
    start, sequence = int(time.time() * 1e6) - 600_000_000, 0
    deadline = start // 1000 + 7_200_000

    def op(prefix):
        nonlocal sequence
        sequence += 1
        key = f"{prefix}:{sequence % KEYS}"
        ids = ["%016d-%s" % (start + sequence, COORDINATOR), "%s-%016x" % (COORDINATOR, sequence)]
        return [f"anrcho_version:{{{key}}}", key], ids, [3, "SET", key, VALUE]

    def apply():
        keys, ids, command = op("apply")
        return ["EVALSHA", sha["apply"], 2, *keys, FENCE, deadline, *ids, "", "*", 0, 4096, 60000, 500, 0, 1, *command]

    def read(number):
        key = f"apply:{number % KEYS}"
        return ["EVALSHA", sha["read"], 2, f"anrcho_version:{{{key}}}", key, FENCE, deadline, start // 1000, 1, 2, "GET", key]

    def bunch(each):
        ops = [op(f"bunch{each}") for _ in range(each)]
        keys = [key for keys, _, _ in ops for key in keys]
        args = [arg for _, ids, command in ops for arg in [deadline, *ids, "1,1,0,*,", *command]]
        return ["EVALSHA", sha["bunch"], len(keys), *keys, FENCE, deadline, 4096, 60000, 500, *args]

    def reads(each):
        keys = [f"bunch1:{n}" for n in range(each)]
        args = [arg for key in keys for arg in [deadline, "", start // 1000, "1,1,0,*,", 2, "GET", key]]
        return ["EVALSHA", sha["bunch"], 2 * each, *(word for key in keys for word in (f"anrcho_version:{{{key}}}", key)), FENCE, deadline, 4096, 60000, 500, *args]

    def held(prefix, number):
        record = f"anrcho_version:{{{prefix}:{number % KEYS}}}"
        return record, server.ask("HGET", record, "h")[:33].decode(), server.ask("HGET", record, "d")[:32].decode()

    def confirm(number):
        record, ballot, digest = held("bunch1", number)
        return ["EVALSHA", sha["settle"], 1, record, FENCE, deadline, ballot, 1, digest, "confirm", "", "", "0"]

    def confirms(each, calls):
        all_held = [held("bunch1", number) for number in range(each)]
        args = [arg for _, ballot, digest in all_held for arg in [deadline, ballot, digest, "0,0,0,*,c"]]
        return [["EVALSHA", sha["bunch"], each, *(record for record, _, _ in all_held), FENCE, deadline, 4096, 60000, 500, *args]] * calls

    plain = [["SET", f"plain:{n % KEYS}", VALUE] for n in range(CALLS)]
    rows = [("SET", plain, 1)]
    rows.append(("SET by a script of one line", [["EVALSHA", bare, 1, words[1], *words] for words in plain], 1))
    rows.append(("SET by apply", [apply() for _ in range(CALLS)], 1))
    rows += [(f"SET in a bunch of {n}", [bunch(n) for _ in range(2 * CALLS // n)], n) for n in [1, 4, 16, 64]]
    rows.append(("GET by a script of one line", [["EVALSHA", bare, 1, words[1], "GET", words[1]] for words in plain], 1))
    rows.append(("GET by read", [read(n) for n in range(CALLS)], 1))
    rows += [(f"GET in a bunch of {n}", [reads(n) for _ in range(2 * CALLS // n)], n) for n in [1, 16]]
    # What is settled is known once it was written.
    rows.append(("confirmation by settle", lambda: [confirm(n) for n in range(CALLS)], 1))
    rows += [(f"confirmation in a bunch of {n}", lambda n=n: confirms(n, 2 * CALLS // n), n) for n in [1, 16]]
    for place, (title, calls, each) in enumerate(rows):
        calls = calls() if callable(calls) else calls
        print(f"{server.count(f'row{place}', calls, each):>9,}  {title}", flush=True)
    server.process.terminate()


main()
