"""The RPCs that brokers ask of each other for transactions; what they mean is `cluster.broker.transaction_requests`."""

from __future__ import annotations

from typing import Any

from cluster.broker import BrokerContext, serve_add_partitions, serve_write_markers
from cluster.rpc import transactions_pb2 as rpc
from cluster.rpc.transactions_pb2_grpc import TransactionsServicer

_Context = Any  # nothing is asked of the RPC's context


class TransactionService(TransactionsServicer):
    """Serves other brokers, and this one."""

    def __init__(self, broker: BrokerContext) -> None:
        self._broker = broker

    async def WriteMarkers(self, request: rpc.WriteMarkersRequest, context: _Context) -> rpc.PartitionErrors:
        """Write the markers of an ended transaction."""
        return await serve_write_markers(self._broker, request)

    async def AddPartitions(self, request: rpc.AddPartitionsRequest, context: _Context) -> rpc.PartitionErrors:
        """Say whether partitions are part of a transaction, or make them so."""
        return await serve_add_partitions(self._broker, request)
