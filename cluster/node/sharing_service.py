"""The RPCs that brokers ask of each other for share groups; what they mean is `cluster.broker.share_states`."""

from __future__ import annotations

from typing import Any

from cluster.broker import (
    BrokerContext,
    serve_begin_state,
    serve_delete_state,
    serve_read_state,
    serve_write_state,
)
from cluster.rpc import sharing_pb2 as rpc
from cluster.rpc.sharing_pb2_grpc import ShareStatesServicer

_Context = Any  # nothing is asked of the RPC's context


class SharingService(ShareStatesServicer):
    """Serves other brokers, and this one."""

    def __init__(self, broker: BrokerContext) -> None:
        self._broker = broker

    async def ReadState(self, request: rpc.ReadStateRequest, context: _Context) -> rpc.ShareStateReply:
        """Tell what is kept of a share partition."""
        return await serve_read_state(self._broker, request)

    async def WriteState(self, request: rpc.WriteStateRequest, context: _Context) -> rpc.ShareStateReply:
        """Keep what a leader has come to."""
        return await serve_write_state(self._broker, request)

    async def BeginState(self, request: rpc.BeginStateRequest, context: _Context) -> rpc.ShareStateReply:
        """Let a group begin elsewhere."""
        return await serve_begin_state(self._broker, request)

    async def DeleteState(self, request: rpc.DeleteStateRequest, context: _Context) -> rpc.ShareStateReply:
        """Forget a share partition."""
        return await serve_delete_state(self._broker, request)
