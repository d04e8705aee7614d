"""ListTransactions (API 66), versions 0 to 2: the transactional ids that this broker coordinates (KIP-664).

Filters: states, producer ids, how long a transaction has been going on (version 1, KIP-994), a regular expression that
the whole id must match (version 2, KIP-1152; INVALID_REGULAR_EXPRESSION when it is none). Names of states that do not
exist are sent back. COORDINATOR_LOAD_IN_PROGRESS while some of them are not loaded: a part of the list would be taken
for all.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.base.errors import KafkaError
from cluster.base.regexes import check_regex, matching
from cluster.broker.context import BrokerContext
from cluster.transactions import Transaction, TransactionState
from cluster.wire import Fields, Message

NO_DURATION = -1

_STATES = [state.value for state in TransactionState]


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """List what passes the filters."""
    unknown = [name for name in message.state_filters if name not in _STATES]
    try:
        pattern: str | None = getattr(message, "transactional_id_pattern", None)
        if pattern:
            check_regex("TransactionalIdPattern", pattern)
        passes = _filter(context, message)
        found = [each for shard in context.transactions.shards() for each in shard.listed() if passes(each)]
    except KafkaError as error:
        return {"error_code": error.code}
    if pattern:
        named = frozenset(matching(pattern, (each.transactional_id for each in found)))
        found = [each for each in found if each.transactional_id in named]
    return {
        "unknown_state_filters": unknown,
        "transaction_states": [
            {
                "transactional_id": each.transactional_id,
                "producer_id": each.producer_id,
                "transaction_state": each.state.value,
            }
            for each in sorted(found, key=lambda each: each.transactional_id)
        ],
    }


def _filter(context: BrokerContext, message: Message) -> Callable[[Transaction], bool]:
    """Return whether a transaction is asked for by anything but its name, as a function."""
    duration_ms: int = getattr(message, "duration_filter", NO_DURATION)
    begun_before_ms = context.clock.wall_ms() - duration_ms

    def passes(each: Transaction) -> bool:
        if message.state_filters and each.state.value not in message.state_filters:
            return False
        if message.producer_id_filters and each.producer_id not in message.producer_id_filters:
            return False
        return duration_ms < 0 or 0 <= each.start_ms < begun_before_ms

    return passes
