"""Transactions: records of several partitions count together or not at all. Decisions over records, as for groups."""

from cluster.transactions.decision import AddRequest, Decision, EndRequest, InitRequest, Reply, Settings
from cluster.transactions.record_codec import read_key, read_transaction, write_key, write_transaction
from cluster.transactions.requests import EPOCH_PER_TRANSACTION
from cluster.transactions.shard import TransactionShard
from cluster.transactions.states import TRANSITIONS, TransactionEvent, TransactionState, next_state
from cluster.transactions.transaction import Transaction

__all__ = [
    "EPOCH_PER_TRANSACTION",
    "TRANSITIONS",
    "AddRequest",
    "Decision",
    "EndRequest",
    "InitRequest",
    "Reply",
    "Settings",
    "Transaction",
    "TransactionEvent",
    "TransactionShard",
    "TransactionState",
    "next_state",
    "read_key",
    "read_transaction",
    "write_key",
    "write_transaction",
]
