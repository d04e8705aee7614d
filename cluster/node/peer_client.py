"""The way from one broker to another, for what brokers ask of each other: one channel for each, opened when needed.

Here: finding the peer in the metadata, and deadlines. Not here: what is asked (`cluster.broker`), replication streams
(`replica_fetcher`), and the way to controllers (`controller_client`). What a broker asks of itself takes no detour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc.aio

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.metadata import Endpoint, MetadataImage
from cluster.node.world import World


class PeerClient:
    """Calls to other brokers. Build it on the loop; `close` ends its channels."""

    def __init__(self, node_id: NodeId, world: World, image: Callable[[], MetadataImage]) -> None:
        self._node_id = node_id
        self._world = world
        self._image = image
        self._channels: dict[NodeId, tuple[Endpoint, grpc.aio.Channel]] = {}
        self._services: dict[str, tuple[Callable[[grpc.aio.Channel], Any], object]] = {}

    def know(self, stub: Callable[[grpc.aio.Channel], Any], own: object, methods: Sequence[str]) -> None:
        """Learn how to ask for methods: with a stub of others, and of this broker's `own` service directly."""
        self._services |= dict.fromkeys(methods, (stub, own))

    async def call(self, broker: NodeId, method: str, request: Any, *, timeout_ms: int) -> Any:
        """Return a broker's reply. Raises KafkaError(NETWORK_EXCEPTION) when there is none in time.

        The request may have been carried out all the same.
        """
        make_stub, own = self._services[method]
        if broker == self._node_id:
            return await getattr(own, method)(request, None)
        stub = make_stub(await self._channel(broker))
        try:
            return await getattr(stub, method)(request, timeout=timeout_ms / 1000)
        except grpc.aio.AioRpcError as error:
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION, f"broker {broker} does not answer {method}") from error

    async def close(self) -> None:
        """Close all channels."""
        channels, self._channels = self._channels, {}
        for _, channel in channels.values():
            await channel.close()

    async def _channel(self, broker: NodeId) -> grpc.aio.Channel:
        registration = self._image().brokers.get(broker)
        if registration is None:
            raise KafkaError(ErrorCode.NETWORK_EXCEPTION, f"broker {broker} is not registered")
        known = self._channels.get(broker)
        if known is not None and known[0] == registration.rpc:
            return known[1]
        channel = self._world.channel(broker, registration.rpc.host, registration.rpc.port)
        self._channels[broker] = (registration.rpc, channel)
        if known is not None:
            await known[1].close()
        return channel
