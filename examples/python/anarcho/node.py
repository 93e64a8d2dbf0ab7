"""One node: a connection that is admitted before anything is asked over it, and opened again when it breaks."""

import asyncio
import hashlib
import random
import re
import time
from collections import deque

from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import RedisError, ResponseError
from redis._parsers import _AsyncRESP2Parser

GENERATION = 1_000_000
MAX_CLOCK_OFFSET_MS = 500
USUAL_PURGE_AGE_MS = "3600000"


class WholeErrors(_AsyncRESP2Parser):
    """redis-py cuts the code off an error's text; the contract's errors are whole."""

    @classmethod
    def parse_error(cls, response):
        return ResponseError(response)


class Away(Exception):
    """Why a node does not count. `sent`: whether a call may have run there."""

    def __init__(self, why, sent=False):
        super().__init__(why)
        self.sent = sent


def now_us():
    return time.time_ns() // 1000


def new_fence(epoch):
    return f"{epoch:010d}-{random.SystemRandom().getrandbits(64):016x}"


def member_id(run_id):
    return hashlib.sha1(f"node\n{run_id}".encode()).hexdigest()[:16]


class Look:
    """What `admit look` answers, and INFO."""

    def __init__(self, words, info):
        words = [word.decode() for word in words]
        _, self.cluster, self.node, epoch, self.role, self.run_id, self.members, self.fence, keys, now = words[:10]
        self.scopes, self.flushed, self.purge_age_ms, self.decided, self.contract = words[10:15]
        self.epoch, self.keys, self.now_us = int(epoch or 0), int(keys), int(now)
        self.info = info

    @property
    def member_ids(self):
        return [member.split("@")[0] for member in self.members.split(",") if member]


class Node:
    """`look` and `offset_ms` are of the present connection; `fence` is set while it may be asked, and `epoch` is whose answers count."""

    def __init__(self, url, scripts, contract, answer_timeout=2.0):
        self.url, self.scripts, self.contract, self.answer_timeout = url, scripts, contract, answer_timeout
        options = parse_url(url)
        self.connection_class = options.pop("connection_class", Connection)
        self.options = options
        self.name = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        self.connection = self.reader = self.look = self.fence = None
        self.why, self.epoch, self.votes, self.slow, self.offset_ms = "not connected yet", 0, False, False, 0
        self.waiting = deque()

    # The connection: calls go out in order and answers come back in order.

    async def open(self):
        """Connects, loads the scripts and looks at the server. Nothing has been asked of the node before this has ended."""
        self.close(self.why)
        connection = self.connection_class(**self.options, protocol=2, parser_class=WholeErrors, socket_connect_timeout=1, socket_timeout=None)
        await asyncio.wait_for(connection.connect(), 2)
        self.connection = connection
        self.reader = asyncio.create_task(self._read(connection))
        for _, text in sorted(self.scripts.values(), key=lambda script: len(script[1])):
            await self.command("SCRIPT", "LOAD", text)
        text = (await self.command("INFO")).decode("utf-8", "replace")
        info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        check_server(info)
        before = now_us()
        words = await self.admit("look")
        after = now_us()
        self.look = Look(words, info)
        at = self.look.now_us
        self.offset_ms = (at - after) // 1000 if at > after else -((before - at) // 1000) if at < before else 0
        if abs(self.offset_ms) > MAX_CLOCK_OFFSET_MS:
            raise Away(f"its clock differs from this machine's by {self.offset_ms} ms; run NTP on both")
        if self.look.contract not in ("", self.contract):
            raise Away(f"its cluster keeps contract {self.look.contract} of the scripts and this program keeps {self.contract}: use a version that keeps it")

    def close(self, why):
        self.fence, self.votes, self.why = None, False, why
        if self.reader:
            self.reader.cancel()
        if self.connection:
            asyncio.ensure_future(self.connection.disconnect(nowait=True))
        self.connection = self.reader = None
        waiting, self.waiting = self.waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_exception(Away(why, sent=True))

    async def _read(self, connection):
        try:
            while True:
                try:
                    reply = await connection.read_response(disable_decoding=True)
                except ResponseError as error:
                    reply = error
                future = self.waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.close(f"the connection broke: {error}")

    async def command(self, *words):
        """One command, sent once: nothing is ever sent again by itself."""
        if not self.connection:
            raise Away(self.why)
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.waiting.append(future)
        connection = self.connection
        try:
            await connection.send_command(*words, check_health=False)
            reply = await asyncio.wait_for(asyncio.shield(future), self.answer_timeout)
        except asyncio.TimeoutError:
            if connection is self.connection:
                self.close("it does not answer")
            raise Away("it does not answer", sent=True) from None
        except (RedisError, OSError) as error:
            if connection is self.connection:
                self.close(f"the connection broke: {error}")
            raise Away(str(error), sent=True) from None
        self.slow = False
        if isinstance(reply, ResponseError):
            raise Away(str(reply))
        return reply

    async def call(self, script, keys, args, epoch, left_s):
        """A script under the node's admission, if that is of this epoch (None: whichever). Answers the reply; raises Away."""
        for _ in range(2):
            if self.fence is None or epoch is not None and epoch != self.epoch:
                raise Away(self.why if self.fence is None else "its epoch is another one")
            deadline_ms = now_us() // 1000 + int(left_s * 1000) + self.offset_ms
            head = ("EVALSHA", self.scripts[script][0], str(len(keys)))
            try:
                reply = await self.command(*head, *keys, self.fence, str(deadline_ms), *args)
            except Away as away:
                if "NOSCRIPT" not in str(away):
                    raise
                for _, text in self.scripts.values():
                    await self.command("SCRIPT", "LOAD", text)
                continue  # nothing ran
            if reply[0] == b"FENCED":
                self.close("its admission changed")
                raise Away("FENCED its admission changed")
            return reply
        raise Away("it forgets the scripts")

    async def admit(self, *args):
        return await self.command("EVALSHA", self.scripts["admit"][0], "0", *args)

    # Admission, at every (re)connect; `cluster` is what the others belong to, or None while that is not known.

    async def enter(self, cluster):
        look = self.look
        if look.cluster == "" or look.cluster != cluster:
            raise Away("it lost its data: fill it with anarcho-heal" if look.keys == 0 else "it belongs to another cluster, or holds other data")
        if look.role == "claimed":
            await self.admit("demote", look.node, new_fence(look.epoch), look.run_id, look.fence)
        elif look.role == "voter" and look.run_id != look.info["run_id"]:
            if await self.keeps_every_write():
                await self.admit("readmit", look.node, look.info["run_id"], new_fence(look.epoch), look.run_id)
            else:
                await self.admit("demote", look.node, new_fence(look.epoch), look.run_id, look.fence)
        self.look = look = Look(await self.admit("look"), look.info)
        if not look.fence or look.cluster != cluster or look.role == "voter" and look.run_id != look.info["run_id"]:
            raise Away("its admission changed meanwhile")
        self.epoch, self.fence, self.votes = look.epoch, look.fence, look.role == "voter"
        self.why = "" if self.votes else "it is being filled from the others and does not vote yet"

    async def keeps_every_write(self):
        async def setting(name):
            try:
                return (await self.command("CONFIG", "GET", name))[1]
            except (Away, IndexError):
                return b""

        return self.look.info.get("aof_enabled") == "1" and await setting("appendfsync") == b"always" and await setting("no-appendfsync-on-rewrite") == b"no"

    async def move_to(self, look):
        """Takes a node that missed a generation to the one that `look` of another node tells."""
        first = look.epoch // GENERATION * GENERATION
        reply = await self.admit(
            "move", look.cluster, self.look.node, look.members, str(first), new_fence(first), self.look.info["run_id"], look.flushed, look.scopes, look.purge_age_ms
        )
        if reply[0] != b"OK":
            raise Away(f"it does not move to the others' generation: {reply}")
        self.look = Look(await self.admit("look"), self.look.info)


def check_server(info):
    numbers = re.findall(r"\d+", info.get("redis_version", "0"))
    if (int(numbers[0]), int(numbers[1])) < (6, 2):
        raise Away("its version is too old; Redis 6.2 is the oldest that works")
    if info.get("cluster_enabled") == "1":
        raise Away("it runs in Redis Cluster mode; set cluster-enabled no")
    if info.get("role") != "master":
        raise Away("it is a replica; nodes follow nobody: REPLICAOF NO ONE")
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        raise Away("its maxmemory-policy drops keys; set it to noeviction")


async def form(nodes):
    """Initialises a new cluster where all nodes are fresh; answers the cluster's id. All ids follow from the servers' run ids."""
    members = sorted(member_id(node.look.info["run_id"]) for node in nodes)
    cluster = hashlib.sha1("\n".join(["cluster", *members]).encode()).hexdigest()[:16]
    in_order = sorted(nodes, key=lambda node: member_id(node.look.info["run_id"]))
    for node in in_order:
        run_id = node.look.info["run_id"]
        reply = await node.admit("claim", cluster, member_id(run_id), ",".join(members), run_id, "", USUAL_PURGE_AGE_MS)
        if reply[0] != b"OK":
            raise Away(f"{node.name} cannot be claimed: {reply}")
    for node in in_order:
        await node.admit("start", cluster, new_fence(1))
    return cluster
