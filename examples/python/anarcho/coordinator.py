"""The algorithm of the contract (W1-W4, R1-R4), driven over the nodes."""

import asyncio
import random
import time

from redis.exceptions import ResponseError

from . import commands, scripts
from .errors import CannotConnect, CommandError, Indeterminate, NoQuorum, NotApplied, Refused, ReplyLost
from .node import GENERATION, Away, Node, form, now_us
from .transfer import Moved, record_of, transfer

RETRY_WINDOW_MS, REPLY_LIMIT, MAX_OFFSET_MS = "60000", "4096", "500"  # the same for all coordinators
HEDGE_S, READS = 0.05, 2


class Coordinator:
    """`await Coordinator.connect(urls)`, then `await coordinator.execute("INCR", "k")` from any number of tasks."""

    def __init__(self, nodes, timeout):
        self.nodes, self.timeout = nodes, timeout
        self.majority = len(nodes) // 2 + 1
        self.id = f"{random.SystemRandom().getrandbits(64):016x}"
        self.cluster, self.members, self.scopes = None, None, []
        self.sequence = self.last_us = 0
        self.locks, self.tasks = {}, set()

    # Connecting.

    @classmethod
    async def connect(cls, urls, lua=None, timeout=5.0):
        texts, contract = scripts.load(lua)
        self = cls([Node(url, texts, contract) for url in urls], timeout)
        found = await asyncio.gather(*(node.open() for node in self.nodes), return_exceptions=True)
        refused = {node.name: str(error) for node, error in zip(self.nodes, found) if error}
        there = [node for node, error in zip(self.nodes, found) if not error]
        try:
            await self._form(there, refused)
        except Away as away:
            raise CannotConnect(str(away)) from None
        newest = max((node.look for node in there if node.look.cluster == self.cluster), key=lambda look: look.epoch)
        self.members = newest.member_ids
        if len(self.members) != len(self.nodes):
            raise CannotConnect(f"the cluster has {len(self.members)} nodes and the list names {len(self.nodes)}; name each of them: {newest.members}")
        self.scopes = [bytes.fromhex(scope) for scope in newest.scopes.split(",")[:-1]]
        for node in self.nodes:
            self._background(self._attend(node, node in there))
        end = time.monotonic() + 2
        while len(self._voters()[1]) < self.majority or (time.monotonic() < end and any(node.why == "not connected yet" for node in there)):
            if time.monotonic() > end:
                raise CannotConnect(f"fewer than {self.majority} nodes can vote: {self._failures({})}")
            await asyncio.sleep(0.005)
        return self

    async def _form(self, there, refused):
        run_ids = [node.look.info["run_id"] for node in there]
        if len(set(run_ids)) < len(run_ids):
            raise CannotConnect("two addresses lead to the same server; name each once")
        clusters = {node.look.cluster for node in there if node.look.cluster and node.look.role != "claimed"}
        if len(clusters) > 1:
            raise CannotConnect(f"the nodes belong to several clusters: {sorted(clusters)}")
        if clusters:
            self.cluster = clusters.pop()
            claimed = [node for node in there if node.look.role == "claimed"]
            if claimed and len(there) == len(self.nodes) and all(node.look.keys <= 2 and node.look.cluster == self.cluster for node in there):
                for node in claimed:  # whoever initialised them did not live to start them all
                    await node.admit("start", self.cluster, f"{1:010d}-{random.SystemRandom().getrandbits(64):016x}")
                    await node.open()
            return
        if refused:
            raise CannotConnect(f"a new cluster starts only when all nodes answer and are empty; {refused}")
        for node in there:
            if not node.look.cluster and node.look.keys:
                raise CannotConnect(f"{node.name} holds {node.look.keys} keys of somebody else; empty it")
        self.cluster = await form(there)
        await asyncio.gather(*(node.open() for node in there))

    async def _attend(self, node, opened):
        """Keeps a node's connection: opens and admits it again whenever it breaks."""
        while True:
            try:
                if not opened:
                    await node.open()
                newest = max((other.look for other in self.nodes if other.fence), key=lambda look: look.epoch, default=None)
                if newest and newest.epoch // GENERATION > node.look.epoch // GENERATION and node.look.node in newest.member_ids:
                    await node.move_to(newest)
                await node.enter(self.cluster)
                while node.fence is not None:
                    await asyncio.sleep(0.02)
            except Exception as error:  # whatever it is, the node does not count until the next try
                node.close(str(error))
            opened = False
            await asyncio.sleep(0.1 + random.random() / 10)

    def _voters(self):
        """The newest epoch among those that vote, and who votes under it: only their answers count together."""
        epoch = max((node.epoch for node in self.nodes if node.votes), default=0)
        voters = [node for node in self.nodes if node.votes and node.epoch == epoch]
        for node in self.nodes:
            if node.votes and node.epoch // GENERATION < epoch // GENERATION:
                node.close("it missed a generation")
        changed = next((node for node in voters if sorted(node.look.member_ids) != sorted(self.members)), None)
        if changed:
            raise NotApplied(f"the cluster has other members since: connect again with {changed.look.members}")
        return epoch, voters

    async def close(self):
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for node in self.nodes:
            node.close("closed")
        await asyncio.sleep(0)

    def _background(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # Ballots and ops.

    def _ballot(self):
        self.last_us = max(now_us(), self.last_us + 1)
        return f"{self.last_us:016d}-{self.id}"

    def _observe(self, ballot):
        self.last_us = max(self.last_us, int(ballot[:16]))

    # Commands.

    async def execute(self, *words):
        """Runs one command and answers its reply: bytes, int, None or a list. Linearizable."""
        now_ms = now_us() // 1000
        plan = commands.plan(words, now_ms, self.scopes)
        if plan.special in ("SPOP", "SRANDMEMBER"):
            return await self._random(plan)
        replies, _ = await (self._read(plan) if plan.access == "read" else self._write(plan))
        if isinstance(replies[0], ResponseError):
            raise CommandError(str(replies[0]))
        return replies[0]

    async def _random(self, plan):
        """What a node would choose by itself is chosen by a read, and what was chosen is applied at the digest that was read."""
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            look = commands.Plan("read", plan.register, plan.keys, [[b"SRANDMEMBER", *plan.original[1:]]])
            replies, digest = await self._read(look)
            if isinstance(replies[0], ResponseError):
                raise CommandError(str(replies[0]))
            chosen = replies[0] if isinstance(replies[0], list) else [replies[0]] if replies[0] is not None else []
            if plan.special == "SRANDMEMBER" or not chosen:
                return replies[0]
            if len(plan.original) > 2 and int(plan.original[2]) < 0:
                raise Refused("value is out of range, must be positive")
            remove = commands.Plan("write", plan.register, plan.keys, [[b"SREM", plan.keys[0], *chosen]], expected=digest)
            if (await self._write(remove))[0] is not None:
                return replies[0]
        raise NotApplied("the key changes too fast")

    async def _write(self, plan):
        # One op of this coordinator is in flight per register; the others wait.
        lock, users = self.locks.get(plan.register, (asyncio.Lock(), 0))
        self.locks[plan.register] = (lock, users + 1)
        try:
            async with lock:
                return await self._commit(plan)
        finally:
            lock, users = self.locks[plan.register]
            self.locks[plan.register] = (lock, users - 1)
            if users == 1:
                del self.locks[plan.register]

    # W1-W4.

    async def _commit(self, plan, keep=False):
        self.sequence += 1
        state = {"op": f"{self.id}-{self.sequence:016x}", "keep": keep, "ran": False, "why": {}, "generation": None}
        end, ends_us, rounds, alone = time.monotonic() + self.timeout, now_us() + int(self.timeout * 1e6), 0, None
        while True:
            decided = await Round(self, plan, state, end).run()
            if decided is not None:
                replies, digest = decided
                if replies is None:
                    raise ReplyLost("applied, but the reply was too long to be remembered")
                return (None if replies == b"MISMATCH" else replies), digest
            rounds += 1
            lonely = len(self._voters()[1]) < self.majority
            alone = (alone or time.monotonic()) if lonely else None
            if time.monotonic() > end or now_us() > ends_us or alone and time.monotonic() - alone > 1:
                break
            await asyncio.sleep(random.random() * min(0.0005 * 2 ** min(rounds, 8), 0.1))
        why = self._failures(state["why"])
        if state["ran"]:
            raise Indeterminate(f"the outcome is not known: {why}")
        raise (NoQuorum if lonely else NotApplied)(f"not applied: {why}")

    def _failures(self, why):
        return {node.name: why.get(node.name) or node.why for node in self.nodes if why.get(node.name) or node.why} or "no round decided in time"

    # R1-R4.

    async def _read(self, plan):
        for _ in range(READS):
            decided, again = await self._read_round(plan)
            if decided:
                return decided
            if not again:
                break
        slow = commands.Plan("read", plan.register, plan.keys, plan.commands)
        return await self._write(slow)

    async def _read_round(self, plan):
        epoch, voters = self._voters()
        at_ms = str(max(now_us(), self.last_us) // 1000)
        args = [at_ms, *encoded(plan.commands)]
        keys = [record_of(plan.register), *plan.keys]
        calls = {launch(node.call("read", keys, args, epoch, self.timeout)): node for node in voters}
        answers, hedge_ends = {}, None
        n, m = len(self.nodes), self.majority
        pending = set(calls)
        while True:
            reads = {node: reply for node, reply in answers.items() if reply[0] == b"READ"}
            absents = [reply for reply in answers.values() if reply[0] == b"ABSENT"]
            first = next(iter(reads.values()), None)
            if len(reads) == n and all((r[1], r[4], r[5]) == (first[1], first[4], first[5]) for r in reads.values()):
                return (first[6], first[5].decode()), False  # R1
            for node, reply in reads.items():  # R2
                same = [other for other in reads.values() if holds(reply, other)]
                if len(same) >= m:
                    self._background(self._repair_after_read(plan.register, node, reply, reads, set(answers), pending, calls))
                    return (reply[6], reply[5].decode()), False
            if len(absents) >= m:  # R3
                if reads:
                    self._background(self._settle_doubt(plan.register))
                return (absents[0][1], ""), False
            if len(answers) >= m and hedge_ends is None:
                hedge_ends = time.monotonic() + (0 if all(calls[task].slow for task in pending) else HEDGE_S)
            left = None if hedge_ends is None else hedge_ends - time.monotonic()
            if not pending or left is not None and left <= 0:
                for task in pending:
                    calls[task].slow = True
                break
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    answers[calls[task]] = task.result()
                except Away:
                    pass
        for reply in reads.values():
            self._observe(reply[1])
        expiring = any(reply[0] == b"EXPIRING" for reply in answers.values())
        return None, not pending and len(answers) >= m and not expiring

    async def _repair_after_read(self, register, source, reply, reads, heard, pending, calls):
        if pending:
            done, _ = await asyncio.wait(pending, timeout=2)
            for task in done:
                if not task.exception():
                    heard.add(calls[task])
                    if task.result()[0] == b"READ":
                        reads[calls[task]] = task.result()
        stale = [node for node in heard if node not in reads or not holds(reply, reads[node])]
        if any(node in reads and reads[node][1] > reply[2] for node in stale):
            return await self._settle_doubt(register)  # somebody is at work there under a higher ballot, or died
        for node in stale:
            await self._mend(register, reply[2].decode(), reply[4], reply[5], source, node)

    async def _settle_doubt(self, register):
        """A register that nodes hold differently: a slow read of nothing completes or overrules what is there."""
        await asyncio.sleep(0.05)
        try:
            await self._write(commands.Plan("read", register, [], []))
        except (NotApplied, Indeterminate):
            pass

    async def _mend(self, register, ballot, version, digest, source, target, dirty="0"):
        try:
            await transfer(self, register, ballot, version, digest, source, target, dirty)
        except (Away, Moved):
            # For anarcho-heal, which is told on every node that answers.
            mark = self._ballot()
            for node in self.nodes:
                if node.fence:
                    try:
                        await node.admit("mark", node.fence, register, mark)
                    except Away:
                        pass


def launch(coroutine):
    """A call whose answer may come when nobody waits for it any more."""
    task = asyncio.create_task(coroutine)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def encoded(all_commands):
    args = [str(len(all_commands))]
    for command in all_commands:
        args += [str(len(command)), *command]
    return args


def holds(reply, other):
    """R2: the same settle, nothing after it, and no key that is due since."""
    settled = reply[2] != b"" and reply[3] == reply[4]
    return settled and other[2:6] == reply[2:6] and int(other[7]) <= int(reply[2][:13])


class Round:
    """One ballot, one apply to each node, and where that is not enough one settle (W1, W2)."""

    def __init__(self, coordinator, plan, state, end):
        self.c, self.plan, self.state, self.end = coordinator, plan, state, end
        self.is_read = plan.access == "read"
        self.answers, self.calls = {}, {}

    async def run(self):
        """(replies, digest), or None: start another under a new ballot and the same op id (W3)."""
        c, plan, state = self.c, self.plan, self.state
        epoch, voters = c._voters()
        generation = epoch // GENERATION
        if state["generation"] not in (None, generation) and state["ran"]:
            self.end = state["generation"] = 0  # the nodes may have forgotten that it ran
            raise Indeterminate("the cluster went on to another generation meanwhile")
        if len(voters) < c.majority:
            return None
        state["generation"] = generation
        self.epoch, self.voters, self.ballot = epoch, voters, c._ballot()
        delivery = f"t{now_us() // 1000 + min(node.offset_ms for node in voters) - 10}" if plan.timed else ""
        flags = ("k" if state["keep"] else "") + ("r" if self.is_read else "") + plan.flags + delivery
        limits = ["0", REPLY_LIMIT, RETRY_WINDOW_MS, MAX_OFFSET_MS, str(plan.lowest_expiry_ms)]
        args = [self.ballot, state["op"], flags, plan.expected, *limits, *encoded(plan.commands)]
        keys = [record_of(plan.register), *plan.keys]
        left = self.end - time.monotonic()
        self.calls = {launch(node.call("apply", keys, args, epoch, left)): node for node in voters}
        verdict = await self._collect(set(self.calls))
        if verdict == "settle":
            verdict = await self._settle()
        if isinstance(verdict, tuple):
            return verdict
        self._prepare_retry()
        if self.expiring:
            await asyncio.sleep(min(max(0, self.expiring + 1 - now_us() // 1000) / 1000, max(0, self.end - time.monotonic())))
        return None

    def _of(self, word):
        return {node: reply for node, reply in self.answers.items() if reply[0] == word}

    def _take(self, task):
        node = self.calls[task]
        try:
            reply = task.result()
        except Away as away:
            reply = [b"UNKNOWN" if away.sent else b"NOTSENT", str(away)]
        if reply[0] == b"EXPIRING" and int(reply[1]) > now_us() // 1000 + 1000:
            reply = [b"LOST", "a key is gone there that is not due"]  # its data was changed behind the protocol
        if reply[0] not in (b"ACK", b"ABSENT", b"NACK", b"EXPIRING"):
            self.state["why"][node.name] = " ".join(str(word) for word in reply)
        self.answers[node] = reply

    async def _collect(self, pending):
        n, m, hedged, hedge_ends = len(self.c.nodes), self.c.majority, False, None
        while True:
            acks, absents = self._of(b"ACK"), self._of(b"ABSENT")
            overtaken = len(self._of(b"NACK")) + len(self._of(b"EXPIRING"))
            agree = len({(ack[3], ack[4]) for ack in acks.values()}) <= 1
            if len(acks) == n and agree:  # W1
                # A retry may find a reply forgotten on one node and known on another.
                known = [ack for ack in acks.values() if ack[7] is not None] or list(acks.values())
                return known[0][7], known[0][4].decode()
            needed = m if self.is_read else n
            if not self.state["keep"] and len(absents) >= needed:  # R3
                return next(iter(absents.values()))[1], ""
            unanimity = not hedged and agree and len(acks) + len(pending) == n
            if len(acks) >= m and not unanimity:
                return "settle"
            enough = len(acks) + len(pending) >= m or not self.state["keep"] and len(absents) + len(pending) >= needed
            if not pending or not enough or hedged and len(acks) + len(absents) + overtaken >= m:
                return None
            if hedge_ends is None and len(acks) + len(absents) + overtaken >= m:
                hedge_ends = time.monotonic() + (0 if all(self.calls[task].slow for task in pending) else HEDGE_S)
            left = self.end - time.monotonic()
            if left <= 0:
                return None
            until = left if hedge_ends is None or hedged else hedge_ends - time.monotonic()
            done, pending = await asyncio.wait(pending, timeout=max(0, min(left, until)), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._take(task)
            if hedge_ends is not None and time.monotonic() >= hedge_ends and not hedged:
                hedged = True
                for task in pending:
                    self.calls[task].slow = True

    async def _settle(self):
        """W2: what the highest acknowledgement holds is settled under this ballot."""
        c, acks = self.c, self._of(b"ACK")
        source, winner = max(acks.items(), key=lambda item: (item[1][1], int(item[1][3]), item[1][4]))
        version, digest = winner[3], winner[4]
        record, left = record_of(self.plan.register), self.end - time.monotonic()
        # Nodes that are away, or late, are remembered as missing it by those that take it.
        dirty = "1" if len(self.answers) < len(c.nodes) or len(self.voters) < len(c.nodes) else "0"
        confirm = [self.ballot, version, digest, "confirm", "", "", dirty]
        same = [node for node, ack in acks.items() if (ack[3], ack[4]) == (version, digest)]
        tasks = {}
        for node in self.voters:
            if node in same or node not in self.answers:
                tasks[launch(node.call("settle", [record], confirm, self.epoch, left))] = node
            elif len(same) < c.majority and node in acks:
                work = transfer(c, self.plan.register, self.ballot, version, digest, source, node, dirty, self.epoch)
                tasks[launch(work)] = node
        accepted, pending, ends = [], set(tasks), self.end
        while pending and len(accepted) < c.majority <= len(accepted) + len(pending) and time.monotonic() < ends:
            done, pending = await asyncio.wait(pending, timeout=max(0, ends - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    reply = task.result()
                    if reply[0] == b"SETTLED":
                        accepted.append(tasks[task])
                    elif reply[0] == b"NACK":
                        c._observe(reply[1])
                        # A higher ballot is about: the rest is not worth a long wait.
                        ends = min(ends, time.monotonic() + HEDGE_S)
                    elif reply[0] == b"CONFLICT":
                        raise Indeterminate("CONFLICT: some coordinator has used a ballot twice; stop and look")
        if len(accepted) < c.majority:
            return None
        c._background(self._repair(source, version, digest, accepted, tasks, pending))
        return winner[7], digest.decode()

    async def _repair(self, source, version, digest, accepted, tasks, pending):
        if pending:
            done, _ = await asyncio.wait(pending, timeout=2)
            accepted += [tasks[task] for task in done if not task.exception() and task.result()[0] == b"SETTLED"]
        for node in self.c.nodes:
            if node not in accepted and node.fence:
                await self.c._mend(self.plan.register, self.ballot, version, digest, source, node)

    def _prepare_retry(self):
        """What the round leaves behind: whether the op may have run somewhere, and what the next ballot must be above."""
        self.expiring = 0
        for node in self.voters:
            reply = self.answers.get(node, [b"UNKNOWN", "it has not answered yet"])
            if reply[0] == b"UNKNOWN" or reply[0] == b"ACK" and reply[5] != b"" or reply[0] == b"NACK" and reply[1].decode() == self.ballot:
                self.state["ran"] = self.state["ran"] or not self.is_read
            if reply[0] == b"NACK":
                self.c._observe(reply[1])
            if reply[0] == b"EXPIRING":
                self.expiring = max(self.expiring, int(reply[1]))
                self.c.last_us = max(self.c.last_us, (int(reply[1]) + 1) * 1000)
        self.state["keep"] = self.state["keep"] or not self.is_read or bool(self._of(b"ABSENT"))
