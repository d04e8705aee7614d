"""The way to the active controller, for brokers: ask a voter, follow its hint, try the next, until a deadline.

Here: one channel for each voter and the belief about which of them is active, shared by all who ask. Not here:
the stream of metadata (`metadata_follower`), which shares the belief.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.node.config import NodeConfig, Voter
from cluster.node.world import World
from cluster.rpc.controller_pb2 import Status
from cluster.rpc.controller_pb2_grpc import ControllerStub

if TYPE_CHECKING:  # the stub's asyncio face exists for type checkers only
    from cluster.rpc.controller_pb2_grpc import ControllerAsyncStub

_BACKOFF_MS_MIN = 10
_BACKOFF_MS_MAX = 100

_REPEATABLE = ("RegisterBroker", "BrokerHeartbeat", "AlterPartition", "DescribeQuorum")
"""Calls that mean the same when a controller gets them twice; they give up on a silent voter sooner."""


class ControllerClient:
    """Calls to whichever voter is active. Build it on the loop; `close` ends its channels."""

    def __init__(self, config: NodeConfig, world: World, configs: Configs) -> None:
        self._world = world
        self._voters = config.voters
        self._believed = config.voters[0].node_id
        self._fetch_timeout_ms = configs.integer("controller.quorum.fetch.timeout.ms")
        self._channels: dict[NodeId, grpc.aio.Channel] = {}
        self._stubs: dict[NodeId, ControllerAsyncStub] = {}

    @property
    def believed(self) -> NodeId:
        """The voter that is asked next: the active controller, or a guess."""
        return self._believed

    def stub(self, voter_id: NodeId) -> ControllerAsyncStub:
        """Return the stub for a voter; its channel is opened once."""
        if voter_id not in self._stubs:
            voter = self._voter(voter_id)
            channel = self._world.channel(voter_id, voter.host, voter.rpc_port)
            self._channels[voter_id] = channel
            self._stubs[voter_id] = ControllerStub(channel)
        return self._stubs[voter_id]

    def learn(self, asked: NodeId, status: Status) -> None:
        """Take a hint from a voter that is not active; without one, the next voter is believed."""
        hint = NodeId(status.leader_id)
        is_new = hint not in (NO_NODE, asked) and any(voter.node_id == hint for voter in self._voters)
        if is_new and asked == self._believed:
            self._believed = hint
        else:
            self.distrust(asked)

    def distrust(self, asked: NodeId) -> None:
        """Believe the next voter instead of one that failed. A belief that has changed meanwhile is left alone."""
        if asked == self._believed:
            ids = [voter.node_id for voter in self._voters]
            self._believed = ids[(ids.index(asked) + 1) % len(ids)]

    def confirm(self, active: NodeId) -> None:
        """Believe a voter that has just answered as the active one."""
        self._believed = active

    async def call(self, method: str, request: Any, *, timeout_ms: int) -> Any:
        """Return the active controller's reply; its status may still carry an error.

        Raises KafkaError(REQUEST_TIMED_OUT) when no active controller answered in time: the request may have been
        carried out all the same. A request whose answer was lost is sent again, so a topic that one attempt created
        may be reported as existing by the next, as in Kafka.
        """
        deadline_ms = self._world.clock.monotonic_ms() + timeout_ms
        attempt_ms = self._fetch_timeout_ms * (1 if method in _REPEATABLE else 3)
        backoff_ms = _BACKOFF_MS_MIN
        while (left_ms := deadline_ms - self._world.clock.monotonic_ms()) > 0:
            asked = self._believed
            try:
                reply = await getattr(self.stub(asked), method)(request, timeout=min(left_ms, attempt_ms) / 1000)
            except grpc.aio.AioRpcError:
                self.distrust(asked)
            else:
                if reply.status.error_code != ErrorCode.NOT_CONTROLLER:
                    self.confirm(asked)
                    return reply
                self.learn(asked, reply.status)
            await asyncio.sleep(min(backoff_ms, max(left_ms, 0)) / 1000)
            backoff_ms = min(2 * backoff_ms, _BACKOFF_MS_MAX)
        raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, f"no active controller answered {method} in {timeout_ms} ms")

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()
        self._stubs.clear()

    def _voter(self, voter_id: NodeId) -> Voter:
        return next(voter for voter in self._voters if voter.node_id == voter_id)
