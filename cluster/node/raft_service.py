"""The incoming side of the metadata quorum: streams of messages from the other voters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import grpc.aio

from cluster.raft import Message, from_protobuf
from cluster.rpc.raft_pb2 import DeliverReply, RaftMessage
from cluster.rpc.raft_pb2_grpc import RaftServicer


class RaftService(RaftServicer):
    """Hands every message to `receive`, in the order of its stream."""

    def __init__(self, receive: Callable[[Message], None]) -> None:
        self._receive = receive

    async def Deliver(
        self, request_iterator: AsyncIterator[RaftMessage], context: grpc.aio.ServicerContext[RaftMessage, DeliverReply]
    ) -> DeliverReply:
        """Take messages until the peer ends the stream or the connection breaks."""
        async for received in request_iterator:
            try:
                message = from_protobuf(received)
            except ValueError as cause:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(cause))
            self._receive(message)
        return DeliverReply()
