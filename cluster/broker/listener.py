"""The Kafka listener: accepts clients and keeps track of their connections."""

from __future__ import annotations

import asyncio
import logging

from cluster.base.limits import CONNECTIONS_MAX
from cluster.broker.connection import KafkaConnection
from cluster.broker.context import BrokerContext

log = logging.getLogger(__name__)


class _Refusal(asyncio.Protocol):
    """What a client gets that comes when there are too many: a closed connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class KafkaListener:
    """One broker's listener for Kafka clients."""

    def __init__(self, context: BrokerContext) -> None:
        self._context = context
        self._server: asyncio.AbstractServer | None = None
        self._connections: dict[KafkaConnection, None] = {}

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError, naming the address, when it is taken."""
        assert self._server is None, "a listener is started once"
        self._server = await self._context.world.listen(self._accept, host, port)

    async def stop(self) -> None:
        """Accept nobody any more, close all connections, end what their requests had begun."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._connections):
            connection.close()
        self._context.close()

    def _accept(self) -> asyncio.BaseProtocol:
        if len(self._connections) >= CONNECTIONS_MAX:
            log.warning("refusing a client: %d connections are open", len(self._connections))
            return _Refusal()
        connection = KafkaConnection(self._context, self._closed)
        self._connections[connection] = None
        return connection

    def _closed(self, connection: KafkaConnection) -> None:
        self._connections.pop(connection, None)
