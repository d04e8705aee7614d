"""What the lab says to running nodes over gRPC: look into them, set their link rules, create topics.

Here: the calls and their retries. The lab is no node: its calls carry no node's name, so that no rule holds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import grpc
import grpc.aio

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId
from cluster.base.limits import RPC_MESSAGE_SIZE_BYTES_MAX
from cluster.lab.errors import USAGE, LabError
from cluster.lab.target import NodeAddress, TopicSpec
from cluster.lab.topic_calls import create_topics_request, raise_unless_passing
from cluster.rpc import controller_pb2, controller_pb2_grpc, inspect_pb2, inspect_pb2_grpc, lab_pb2, lab_pb2_grpc
from cluster.runtime.links import LinkRule
from cluster.runtime.live.lab_service import node_rules_to_message, rule_to_message
from cluster.runtime.node_rules import NodeRule

_OPTIONS = (
    ("grpc.max_receive_message_length", RPC_MESSAGE_SIZE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # two clusters in one process share nothing
)
_CALL_S = 2.0
_RULES_S = 10.0  # a node that has just been started answers when it listens
_CONTROLLER_RETRY_S = 0.03


class NodeCalls:
    """Channels from the lab to all nodes of one cluster."""

    def __init__(self, addresses: Mapping[str, NodeAddress], node_ids: Mapping[str, NodeId]) -> None:
        self._channels = {
            name: grpc.aio.insecure_channel(f"{address.host}:{address.rpc_port}", options=_OPTIONS)
            for name, address in addresses.items()
        }
        self._names = {node_id: name for name, node_id in node_ids.items()}

    async def describe(self, name: str, timeout_s: float = _CALL_S) -> inspect_pb2.DescribeReply | None:
        """Return what a node knows; None when it does not answer."""
        stub = inspect_pb2_grpc.InspectStub(self._channels[name])
        try:
            return await stub.Describe(inspect_pb2.DescribeRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return None

    async def describe_all(
        self, names: Sequence[str], timeout_s: float = _CALL_S
    ) -> dict[str, inspect_pb2.DescribeReply]:
        """Return what nodes know, by name; those that do not answer are left out."""
        replies = await asyncio.gather(*(self.describe(name, timeout_s) for name in names))
        return {name: reply for name, reply in zip(names, replies, strict=True) if reply is not None}

    async def set_rules(
        self, name: str, links: Sequence[LinkRule], node: Sequence[NodeRule] = (), timeout_s: float = _RULES_S
    ) -> bool:
        """Put rules in force in one node's process, in place of all that were. Returns whether it answered."""
        stub = lab_pb2_grpc.LabStub(self._channels[name])
        request = lab_pb2.SetLinkRulesRequest(rules=[rule_to_message(rule) for rule in links])
        try:
            await stub.SetLinkRules(request, timeout=timeout_s, wait_for_ready=True)
            await stub.SetNodeRules(node_rules_to_message(node), timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def lose_power(self, name: str) -> None:
        """Have a process note what it synced and end. It does not answer: whether it ended, its parent knows."""
        stub = lab_pb2_grpc.LabStub(self._channels[name])
        with suppress(grpc.aio.AioRpcError):
            await stub.LosePower(lab_pb2.LosePowerRequest(), timeout=_RULES_S, wait_for_ready=True)

    async def create_topics(self, names: Sequence[str], topics: Sequence[TopicSpec], timeout_s: float) -> None:
        """Have the active controller create topics. Raises LabError when it refuses or nobody is active."""
        request = create_topics_request(topics)

        async def create(stub: controller_pb2_grpc.ControllerAsyncStub) -> controller_pb2.CreateTopicsReply:
            return await stub.CreateTopics(request, timeout=_CALL_S)

        _raise_refusals((await self._on_active(names, create, timeout_s)).topics)

    async def delete_topics(self, names: Sequence[str], topics: Sequence[str], timeout_s: float) -> None:
        """Have the active controller delete topics. Raises LabError when it refuses or nobody is active."""
        request = controller_pb2.DeleteTopicsRequest(
            topics=[controller_pb2.DeleteTopic(name=topic) for topic in topics]
        )

        async def delete(stub: controller_pb2_grpc.ControllerAsyncStub) -> controller_pb2.DeleteTopicsReply:
            return await stub.DeleteTopics(request, timeout=_CALL_S)

        _raise_refusals((await self._on_active(names, delete, timeout_s)).topics)

    async def close(self) -> None:
        """Close all channels."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def _on_active(
        self,
        names: Sequence[str],
        call: Callable[
            [controller_pb2_grpc.ControllerAsyncStub],
            Awaitable[controller_pb2.CreateTopicsReply | controller_pb2.DeleteTopicsReply],
        ],
        timeout_s: float,
    ) -> controller_pb2.CreateTopicsReply | controller_pb2.DeleteTopicsReply:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while loop.time() < deadline_s:
            for name in await self._believed_active(names):
                stub = controller_pb2_grpc.ControllerStub(self._channels[name])
                try:
                    reply = await call(stub)
                except grpc.aio.AioRpcError:
                    continue
                if reply.status.error_code == ErrorCode.NONE:
                    return reply
                raise_unless_passing(reply.status)
            await asyncio.sleep(_CONTROLLER_RETRY_S)
        cause = f"No controller was active within {timeout_s:g} s."
        raise LabError(cause, "Heal what keeps a majority of the controllers apart: `fencepost faults`.")

    async def _believed_active(self, names: Sequence[str]) -> list[str]:
        """Return who is thought to be the active controller; the belief of the highest epoch comes first."""
        replies = await self.describe_all(names)
        beliefs = sorted(replies.values(), key=lambda reply: reply.controller_epoch, reverse=True)
        found = [self._names[NodeId(reply.active_controller)] for reply in beliefs if reply.active_controller >= 0]
        return list(dict.fromkeys(found))


def _raise_refusals(results: Sequence[controller_pb2.TopicResult]) -> None:
    remedies = {
        ErrorCode.TOPIC_ALREADY_EXISTS: "Look at it with `fencepost topic describe`.",
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "`fencepost topic ls` shows what there is.",
    }
    for result in results:
        if result.error_code != ErrorCode.NONE:
            error = ErrorCode(result.error_code)
            why = result.error_message or error.name
            raise LabError(f"{result.name}: {why} ({error.name}).", remedies.get(error, "Change the request."), USAGE)
