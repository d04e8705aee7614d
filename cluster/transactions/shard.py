"""The transactional ids whose records lie in one partition of `__transaction_state`.

Here: the state, what may be asked of it, and how records become state. Not here: the rules of each request
(`requests`), the coordinator that appends, waits and answers (`cluster.broker.coordinator`), and whoever writes
markers and looks at the clock (`cluster.broker.transaction_coordinator`).

Every question returns a decision and changes nothing. `accept` takes a decision in once its records are in the log;
`replay` makes the same state from the log alone.
"""

from __future__ import annotations

from cluster.base.answers import Answer
from cluster.base.errors import ErrorCode
from cluster.base.moments import Moment
from cluster.base.ports import Tracer
from cluster.base.transaction_trace import TransactionStateChanged
from cluster.transactions.decision import (
    AddRequest,
    Decision,
    EndRequest,
    InitRequest,
    Outcome,
    Reply,
    Settings,
)
from cluster.transactions.record_codec import read_key, read_transaction, write_key, write_transaction
from cluster.transactions.requests import add_partitions, complete, end, fence, initialise, verify_partitions
from cluster.transactions.states import TransactionState
from cluster.transactions.transaction import Transaction


class TransactionShard:
    """Transactional ids and their transactions."""

    def __init__(self, settings: Settings, tracer: Tracer) -> None:
        self.settings = settings
        self._tracer = tracer
        self._transactions: dict[str, Transaction] = {}

    # --- state ------------------------------------------------------------------------------------

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the log in. Raises MalformedMessage when it is not what its version says."""
        transactional_id = None if key is None else read_key(key)
        if transactional_id is None:
            return
        if value is None:
            self._transactions.pop(transactional_id, None)
        else:
            self._transactions[transactional_id] = read_transaction(transactional_id, value)

    def loaded(self, now_ms: int) -> None:
        """The whole log was replayed: what has to end is found with `ending`."""

    def accept(self, decision: Decision) -> None:
        """Take in a decision whose records are in the log now."""
        for transactional_id, after in decision.after:
            before = self._transactions.pop(transactional_id, None)
            if after is not None:
                self._transactions[transactional_id] = after
            if self._tracer.enabled:
                self._trace(transactional_id, before, after)

    def _trace(self, transactional_id: str, before: Transaction | None, after: Transaction | None) -> None:
        known = after or before
        state = TransactionState.DEAD if after is None else after.state
        if known is not None and (before is None or (before.state, before.epoch) != (state, known.epoch)):
            event = TransactionStateChanged(transactional_id, state.value, known.producer_id, known.epoch)
            self._tracer.emit(event)

    def next_deadline_ms(self) -> int | None:
        """Return None: the coordinator looks at all transactions from time to time, as Kafka's does."""
        return None

    def time_passed(self, now: Moment) -> Decision | None:
        """Return None; see `next_deadline_ms`."""
        return None

    def retry_at(self, decision: Decision, at_ms: int) -> None:
        """Nothing is ever decided because time has passed; see `next_deadline_ms`."""

    # --- requests ---------------------------------------------------------------------------------

    def needs_producer_id(self, transactional_id: str) -> bool:
        """Whether a request about it may need an id that nobody has."""
        known = self._transactions.get(transactional_id)
        return known is None or known.is_epoch_exhausted

    def initialise(self, token: int, request: InitRequest, now: Moment) -> Decision:
        """InitProducerId: answered with a Reply; CONCURRENT_TRANSACTIONS with something ending is to be asked again."""
        if not 0 < request.timeout_ms <= self.settings.timeout_ms_max:
            return _now(token, Reply(ErrorCode.INVALID_TRANSACTION_TIMEOUT))
        known = self._transactions.get(request.transactional_id)
        return self._decide(token, known, initialise(known, request, now.wall_ms))

    def end(self, token: int, request: EndRequest, now: Moment) -> Decision:
        """EndTxn: answered with a Reply once it is committed how the transaction ends."""
        known = self._transactions.get(request.transactional_id)
        return self._decide(token, known, end(known, request, now.wall_ms))

    def add_partitions(self, token: int, request: AddRequest, now: Moment) -> Decision:
        """AddPartitionsToTxn, AddOffsetsToTxn: answered with a Reply."""
        known = self._transactions.get(request.transactional_id)
        return self._decide(token, known, add_partitions(known, request, now.wall_ms))

    def verify_partitions(self, token: int, request: AddRequest) -> Decision:
        """AddPartitionsToTxn that only asks: answered with an ErrorCode for each partition."""
        errors = verify_partitions(self._transactions.get(request.transactional_id), request)
        return Decision(answers=(Answer(token, errors),))

    def complete(self, token: int, ended: Transaction, now: Moment) -> Decision:
        """All markers are written: answered with a Reply. Nothing happens when somebody was faster."""
        known = self._transactions.get(ended.transactional_id)
        if known is None or not known.is_ending or known.epoch != ended.epoch:
            return _now(token, Reply(ErrorCode.NONE))
        return self._decide(token, known, Outcome(ErrorCode.NONE, complete(known, now.wall_ms)))

    def ending(self, token: int) -> Decision:
        """Answered with the transactions whose markers are due, once it is committed that they are."""
        found = tuple(each for _, each in sorted(self._transactions.items()) if each.is_ending)
        return Decision(answers=(Answer(token, found),))

    # --- time -------------------------------------------------------------------------------------

    def timed_out(self, wall_ms: int) -> list[str]:
        """Return the ids whose transaction takes longer than its producer said it would."""
        return sorted(name for name, each in self._transactions.items() if each.has_timed_out(wall_ms))

    def fence(self, token: int, transactional_id: str, now: Moment) -> Decision:
        """Shut the producer of an ongoing transaction out and abort it: answered with a Reply."""
        known = self._transactions.get(transactional_id)
        if known is None or known.state is not TransactionState.ONGOING:
            return _now(token, Reply(ErrorCode.INVALID_TXN_STATE))
        return self._decide(token, known, Outcome(ErrorCode.NONE, fence(known, now.wall_ms)))

    def expire(self, wall_ms: int) -> Decision:
        """Forget the ids of which nothing was heard for `transactional.id.expiration.ms`; nobody is answered."""
        gone = sorted(
            name
            for name, each in self._transactions.items()
            if each.has_expired(wall_ms, self.settings.id_expiration_ms)
        )
        return Decision(tuple((write_key(name), None) for name in gone), after=tuple((name, None) for name in gone))

    # --- questions --------------------------------------------------------------------------------

    def get(self, transactional_id: str) -> Transaction | None:
        """Return what is known of a transactional id."""
        return self._transactions.get(transactional_id)

    def listed(self) -> list[Transaction]:
        """ListTransactions: all of them, by id."""
        return [each for _, each in sorted(self._transactions.items())]

    # --- inside -----------------------------------------------------------------------------------

    def _decide(self, token: int, known: Transaction | None, outcome: Outcome) -> Decision:
        after = outcome.transaction
        ending = after if after is not None and after.is_ending else None
        answer = Answer(token, Reply(outcome.error, outcome.producer_id, outcome.epoch, ending))
        if after is None or after is known:
            return Decision(answers=(answer,))
        record = (write_key(after.transactional_id), write_transaction(after))
        return Decision((record,), (answer,), ((after.transactional_id, after),))


def _now(token: int, reply: Reply) -> Decision:
    return Decision(answers=(Answer(token, reply),), waits_for_commit=False)
