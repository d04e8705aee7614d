"""The outgoing stream to one other voter: opened, kept, reopened.

Here: one long-lived `Deliver` call at a time and the bounded queue before it. What cannot be sent soon is dropped:
Raft repeats what matters. Not here: what is sent (`cluster.raft`) or received (`raft_service`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import grpc.aio

from cluster.base.limits import RAFT_MESSAGES_QUEUED_MAX
from cluster.node.config import Voter
from cluster.node.world import World
from cluster.raft import Message, to_protobuf
from cluster.rpc.raft_pb2 import RaftMessage
from cluster.rpc.raft_pb2_grpc import RaftStub

_BACKOFF_MS_MIN = 50
_BACKOFF_MS_MAX = 500


class RaftPeer:
    """One peer. `send` never waits: a peer that is cut off or stopped holds up nobody else."""

    def __init__(self, world: World, voter: Voter, stale_after_ms: int) -> None:
        self._world = world
        self._voter = voter
        self._stale_after_ms = stale_after_ms
        self._queue: deque[tuple[int, Message]] = deque(maxlen=RAFT_MESSAGES_QUEUED_MAX)
        self._filled = asyncio.Event()
        self._call_number = 0
        self._has_sent = False
        self._last_sent: tuple[int, Message] | None = None

    def send(self, message: Message) -> None:
        """Queue a message; when the queue is full the oldest goes."""
        self._queue.append((self._world.clock.monotonic_ms(), message))
        self._filled.set()

    async def run(self) -> None:
        """Keep a stream open until cancelled."""
        channel = self._world.channel(self._voter.node_id, self._voter.host, self._voter.rpc_port)
        stub = RaftStub(channel)
        backoff_ms = _BACKOFF_MS_MIN
        try:
            while True:
                self._has_sent = False
                self._last_sent = None
                call = stub.Deliver(self._outgoing(self._call_number))
                try:
                    await call
                except grpc.aio.AioRpcError:
                    self._send_last_again()  # unreachable, restarting or cut off: the next call will tell
                finally:
                    self._call_number += 1  # from now on its generator takes no message away
                    call.cancel()
                backoff_ms = _BACKOFF_MS_MIN if self._has_sent else min(2 * backoff_ms, _BACKOFF_MS_MAX)
                await asyncio.sleep(backoff_ms / 1000)
        finally:
            await channel.close()

    def _send_last_again(self) -> None:
        """Put the last message back: a call takes one even when it reaches nobody.

        A voter that starts before its peers asks them once, and would then wait for an election timeout. Raft does
        not mind a message that comes twice.
        """
        if self._last_sent is not None and len(self._queue) < RAFT_MESSAGES_QUEUED_MAX:
            self._queue.appendleft(self._last_sent)

    async def _outgoing(self, call_number: int) -> AsyncIterator[RaftMessage]:
        """Yield messages for one call; the generator of an earlier call must not take them away."""
        while call_number == self._call_number:
            while self._queue and call_number == self._call_number:
                queued_ms, message = self._queue.popleft()
                if self._world.clock.monotonic_ms() - queued_ms < self._stale_after_ms:
                    self._last_sent = (queued_ms, message)
                    yield to_protobuf(message)
                    self._has_sent = True
            self._filled.clear()
            await self._filled.wait()
