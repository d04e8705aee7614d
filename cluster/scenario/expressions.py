"""Conditions such as `isr(orders-0).size == 3`: their grammar, what they need to be told, and their value.

Here: parsing into a function over what the trace has told so far. Not here: when a condition is evaluated
(`watches` for checks, `schedule` for steps).

    expression := value [ OPERATOR value ]        OPERATOR: == != < <= > >= in
    value := NUMBER | none | NAME | $NAME[.SIDE] | FUNCTION(argument) | rate(value) | view(NODE).value,  then [.size]

A condition on something missing (no leader, an unbound `$name`) is not true yet, except `== none`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cluster.base.group_trace import GroupStateChanged
from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    CompactionAbandoned,
    CompactionBegan,
    ControllerActivated,
    ControllerResigned,
    HighWatermarkAdvanced,
    LogCompacted,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    NodeStopped,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RaftRoleChanged,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    TopicDeleted,
)
from cluster.base.transaction_trace import TransactionEnded, TransactionStateChanged
from cluster.lab.quantities import US_PER_SECOND
from cluster.lab.selectors import (
    Bindings,
    SelectorError,
    check_coordinated,
    check_partition,
    coordinator,
    did_you_mean,
)
from cluster.report import ClusterView

RATE_WINDOW_US = 2 * US_PER_SECOND
"""A rate is what was counted in so long, per second."""

Value = str | tuple[str, ...] | int | float | None

_STATE = (
    NodeStarted.kind,
    NodeStopped.kind,
    NodeFaulted.kind,
    ControllerActivated.kind,
    ControllerResigned.kind,
    RaftRoleChanged.kind,
    PartitionMetadataApplied.kind,
    PartitionRoleChanged.kind,
    TopicDeleted.kind,
)
_LOG = (*_STATE, BatchAppended.kind, LogTruncated.kind)
_COMPACTION = (*_STATE, CompactionBegan.kind, CompactionAbandoned.kind, LogCompacted.kind)
_WATERMARK = (*_STATE, HighWatermarkAdvanced.kind)


@dataclass(slots=True)
class Scope:
    """What an expression is evaluated over. `totals` holds what only the end of a run knows: lost, duplicates."""

    view: ClusterView
    bindings: Bindings
    now_us: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that an expression may use in one scenario."""

    nodes: tuple[str, ...]
    clients: tuple[str, ...]
    topics: Mapping[str, int]
    racks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition. `kinds` are the events that can change it; one that is `sampled` changes with time alone."""

    text: str
    is_true: Callable[[Scope], bool]
    kinds: frozenset[str]
    is_sampled: bool
    at_end_only: bool
    variables: tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """A parsed value and what it depends on."""

    value: Callable[[Scope], Value]
    kinds: tuple[str, ...] = ()
    is_sampled: bool = False
    at_end_only: bool = False
    variables: tuple[str, ...] = ()
    is_none: bool = False
    counted: tuple[str, str] | None = None  # (counter, client) of acked(p1), which rate() needs to know


_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>|in(?=\s))\s*")
_WORD = re.compile(r"\s*(\$?[A-Za-z_][A-Za-z0-9_-]*|-?\d+(?:\.\d+)?)")
_SIDE = re.compile(r"\.(?!size\b)([a-z][a-z0-9-]*)")

_OF_PARTITION: Mapping[str, tuple[Callable[[ClusterView, TopicPartition], Value], tuple[str, ...]]] = {
    "leader": (lambda view, tp: view.leader(tp), _STATE),
    "leader-epoch": (lambda view, tp: view.leader_epoch(tp), _STATE),
    "isr": (lambda view, tp: view.isr(tp), _STATE),
    "elr": (lambda view, tp: view.elr(tp), _STATE),
    "replicas": (lambda view, tp: view.replicas(tp), _STATE),
    "preferred": (lambda view, tp: next(iter(view.replicas(tp)), None), _STATE),
    "followers": (lambda view, tp: tuple(name for name in view.replicas(tp) if name != view.leader(tp)), _STATE),
    "zombie-leader": (lambda view, tp: view.zombie_leader(tp), _STATE),
    "hw": (lambda view, tp: _leaders_replica(view, tp, "high_watermark"), _WATERMARK),
    "leo": (lambda view, tp: _leaders_replica(view, tp, "log_end_offset"), _LOG),
    "compacting": (lambda view, tp: view.compacting(tp), _COMPACTION),
    "compactions": (lambda view, tp: view.compactions(tp), _COMPACTION),
    "lso": (lambda view, tp: view.last_stable.get(tp), (*_STATE, TransactionEnded.kind)),
}
"""`lso` is the last stable offset as the last transaction's end left it; none before the first."""

_OF_KEY: Mapping[str, tuple[Callable[[ClusterView, str], Value], tuple[str, ...]]] = {
    "group-state": (lambda view, key: _of_group(view, key, "state"), (GroupStateChanged.kind,)),
    "generation": (lambda view, key: _of_group(view, key, "generation"), (GroupStateChanged.kind,)),
    "txn-state": (lambda view, key: view.transactions.get(key), (TransactionStateChanged.kind,)),
    "coordinator": (lambda view, key: coordinator(key, view), _STATE),
}
"""Values of groups and transactional ids, by their names; those need not exist yet."""

_OF_VIEW: Mapping[str, tuple[Callable[[ClusterView, str, TopicPartition], Value], tuple[str, ...]]] = {
    "leader": (lambda view, node, tp: view.believed_leader(node, tp), _STATE),
    "leader-epoch": (lambda view, node, tp: _believed(view, node, tp, "leader_epoch"), _STATE),
    "isr": (lambda view, node, tp: _believed_names(view, node, tp, "isr"), _STATE),
    "elr": (lambda view, node, tp: _believed_names(view, node, tp, "elr"), _STATE),
    "role": (lambda view, node, tp: _of_replica(view, node, tp, "role"), _STATE),
    "hw": (lambda view, node, tp: _of_replica(view, node, tp, "high_watermark"), _WATERMARK),
    "leo": (lambda view, node, tp: _of_replica(view, node, tp, "log_end_offset"), _LOG),
}

_COUNTERS: Mapping[str, tuple[str, str]] = {
    "sent": ("sent", RecordSent.kind),
    "acked": ("acked", RecordAcknowledged.kind),
    "failed": ("failed", RecordFailed.kind),
    "unknown": ("unknown", RecordUnknown.kind),
    "consumed": ("consumed", RecordConsumed.kind),
}

_PLAIN: Mapping[str, tuple[Callable[[ClusterView], Value], tuple[str, ...]]] = {
    "active-controller": (lambda view: view.active_controller(), _STATE),
    "controller-epoch": (lambda view: view.controller_epoch(), _STATE),
    "brokers": (lambda view: view.brokers, ()),
    "controllers": (lambda view: view.controllers, ()),
    "all-partitions-led": (lambda view: int(view.all_partitions_led()), _STATE),
    "isr-full": (lambda view: int(view.isr_full()), _STATE),
}

STATES = (
    "Empty", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Stable", "Dead",
    "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort",
    "leader", "follower", "offline",
)  # fmt: skip
"""Words that groups, transactions and replicas have for what they are, as Kafka writes them."""

_TOTALS = ("lost", "duplicates")
_CONSTANTS: Mapping[str, Value] = {"none": None, "true": 1, "false": 0}
_FUNCTIONS = (*_OF_PARTITION, *_OF_KEY, *_COUNTERS, "lag", "rate", "view", "rack")


def parse_expression(text: str, vocabulary: Vocabulary) -> Expression:
    """Read a condition. Raises SelectorError for what is malformed or names what the scenario does not have."""
    parser = _Parser(text, vocabulary)
    left = parser.value()
    operator = _OPERATOR.match(text, parser.position)
    if operator is None:
        parser.expect_end()
        return _expression(text, [left], lambda scope: bool(left.value(scope)))
    parser.position = operator.end()
    right = parser.value()
    parser.expect_end()
    if right.is_none and operator[1] in ("==", "!="):
        wanted = operator[1] == "=="
        return _expression(text, [left], lambda scope: _is_missing(left.value(scope)) is wanted)
    compare = _COMPARISONS[operator[1]]
    return _expression(text, [left, right], lambda scope: compare(left.value(scope), right.value(scope)))


def _expression(text: str, parts: list[_Part], is_true: Callable[[Scope], bool]) -> Expression:
    return Expression(
        text=text,
        is_true=is_true,
        kinds=frozenset(kind for part in parts for kind in part.kinds),
        is_sampled=any(part.is_sampled for part in parts),
        at_end_only=any(part.at_end_only for part in parts),
        variables=tuple(name for part in parts for name in part.variables),
    )


class _Parser:
    """Reads values from left to right; `position` is how far it came."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.position = 0

    def expect_end(self) -> None:
        left = self.text[self.position :].strip()
        if left:
            hint = "; of a set there is .size" if left.startswith(".") else ""
            hint = "; to compare, write ==" if left.startswith("=") else hint
            raise SelectorError(f"{self.text!r}: {left!r} is not understood{hint}")

    def value(self) -> _Part:
        part = self._primary()
        if self.text.startswith(".size", self.position):
            self.position += len(".size")
            inner = part.value
            part.value = lambda scope: _size(inner(scope))
        return part

    def _primary(self) -> _Part:
        match = _WORD.match(self.text, self.position)
        if match is None:
            left = self.text[self.position :].strip()
            raise SelectorError(
                f"{self.text!r}: expected a value, not {left!r}" if left else f"{self.text!r}: no value at its end"
            )
        word = match[1]
        self.position = match.end()
        if word[0].isdigit() or word[0] == "-":
            number = float(word) if "." in word else int(word)
            return _Part(lambda scope: number)
        if word.startswith("$"):
            return self._variable(word[1:])
        if self.text.startswith("(", self.position):
            return self._call(word)
        return self._name(word)

    def _variable(self, name: str) -> _Part:
        side = _SIDE.match(self.text, self.position)
        if side is not None:
            name = f"{name}.{side[1]}"
            self.position = side.end()
        return _Part(lambda scope: scope.bindings.get(name), variables=(name,))

    def _name(self, word: str) -> _Part:
        if word in _CONSTANTS:
            constant = _CONSTANTS[word]
            return _Part(lambda scope: constant, is_none=constant is None)
        if word in _PLAIN:
            read, kinds = _PLAIN[word]
            return _Part(lambda scope: read(scope.view), kinds)
        if word in _TOTALS:
            return _Part(lambda scope: scope.totals.get(word), at_end_only=True)
        if word in _COUNTERS:
            counter, kind = _COUNTERS[word]
            return _Part(lambda scope: _total(scope.view, counter), (kind,))
        names = (*self.vocabulary.nodes, *self.vocabulary.clients, *STATES)
        if word not in names:
            known = (*names, *_PLAIN, *_TOTALS, *_COUNTERS, *_FUNCTIONS)
            raise SelectorError(f"unknown name {word!r} in {self.text!r}{did_you_mean(word, known)}")
        return _Part(lambda scope: word)

    def _call(self, function: str) -> _Part:
        if function == "rate":
            return self._rate()
        argument = self._argument(function)
        if function == "view":
            return self._view(argument)
        if function in _COUNTERS:
            return self._count(function, argument)
        if function == "rack":
            if argument not in self.vocabulary.racks:
                raise SelectorError(f"unknown rack {argument!r}{did_you_mean(argument, self.vocabulary.racks)}")
            return _Part(lambda scope: tuple(n for n in scope.view.brokers if scope.view.racks.get(n) == argument))
        if function in _OF_KEY:
            if function == "coordinator":
                check_coordinated(argument)
            of_key, key_kinds = _OF_KEY[function]
            return _Part(lambda scope: of_key(scope.view, argument), key_kinds)
        if function == "lag" and argument in self.vocabulary.clients:
            return _Part(lambda scope: scope.view.consumer_lag(argument), (*_WATERMARK, RecordConsumed.kind))
        if function == "lag":
            if not argument.rpartition("-")[2].isdigit():
                hint = did_you_mean(argument, self.vocabulary.clients)
                raise SelectorError(f"lag({argument}): that is no partition, such as orders-0, and no client{hint}")
            lagging = check_partition(argument, self.vocabulary.topics)
            return _Part(lambda scope: scope.view.replica_lag(lagging), _LOG)
        if function not in _OF_PARTITION:
            raise SelectorError(f"unknown value {function}(){did_you_mean(function, _FUNCTIONS)}")
        partition = check_partition(argument, self.vocabulary.topics)
        read, kinds = _OF_PARTITION[function]
        return _Part(lambda scope: read(scope.view, partition), kinds)

    def _argument(self, function: str) -> str:
        end = self.text.find(")", self.position)
        if end < 0:
            raise SelectorError(f"{self.text!r}: {function}( is not closed")
        argument = self.text[self.position + 1 : end].strip()
        self.position = end + 1
        return argument

    def _count(self, function: str, client: str) -> _Part:
        if client not in self.vocabulary.clients:
            raise SelectorError(f"unknown client {client!r}{did_you_mean(client, self.vocabulary.clients)}")
        counter, kind = _COUNTERS[function]
        return _Part(
            lambda scope: int(getattr(scope.view.workloads[client], counter)), (kind,), counted=(counter, client)
        )

    def _rate(self) -> _Part:
        self.position += 1
        inner = self.value()
        if not self.text.startswith(")", self.position):
            raise SelectorError(f"{self.text!r}: rate( is not closed")
        self.position += 1
        if inner.counted is None or inner.counted[0] not in ("acked", "consumed"):
            raise SelectorError(f"{self.text!r}: rate() counts acked(CLIENT) or consumed(CLIENT)")
        counter, client = inner.counted
        seconds = RATE_WINDOW_US / US_PER_SECOND

        def rate(scope: Scope) -> Value:
            since = scope.view.acks_since if counter == "acked" else scope.view.consumed_since
            return since(client, scope.now_us - RATE_WINDOW_US, scope.now_us) / seconds

        return _Part(rate, is_sampled=True)

    def _view(self, node: str) -> _Part:
        if node not in self.vocabulary.nodes:
            raise SelectorError(f"unknown node {node!r}{did_you_mean(node, self.vocabulary.nodes)}")
        if not self.text.startswith(".", self.position):
            raise SelectorError(f"{self.text!r}: view({node}) needs a value, such as view({node}).leader(orders-0)")
        self.position += 1
        match = _WORD.match(self.text, self.position)
        word = "" if match is None else match[1]
        self.position += len(word)
        if word == "active-controller":
            return _Part(lambda scope: scope.view.names.get(scope.view.nodes[node].quorum_leader), _STATE)
        if word not in _OF_VIEW:
            raise SelectorError(f"a node has no {word!r}{did_you_mean(word, (*_OF_VIEW, 'active-controller'))}")
        partition = check_partition(self._argument(word), self.vocabulary.topics)
        read, kinds = _OF_VIEW[word]
        return _Part(lambda scope: read(scope.view, node, partition), kinds)


def _leaders_replica(view: ClusterView, partition: TopicPartition, what: str) -> Value:
    leader = view.leader(partition)
    return None if leader is None else _of_replica(view, leader, partition, what)


def _of_replica(view: ClusterView, node: str, partition: TopicPartition, what: str) -> Value:
    replica = view.replica(node, partition)
    value: Value = None if replica is None else getattr(replica, what)
    return value


def _believed(view: ClusterView, node: str, partition: TopicPartition, what: str) -> Value:
    known = view.nodes[node].partitions.get(partition)
    value: Value = None if known is None else getattr(known, what)
    return value


def _believed_names(view: ClusterView, node: str, partition: TopicPartition, what: str) -> Value:
    known = view.nodes[node].partitions.get(partition)
    return None if known is None else tuple(view.names[number] for number in getattr(known, what))


def _of_group(view: ClusterView, group: str, what: str) -> Value:
    known = view.groups.get(group)
    value: Value = None if known is None else getattr(known, what)
    return value


def _total(view: ClusterView, counter: str) -> int:
    return sum(int(getattr(workload, counter)) for workload in view.workloads.values())


def _size(value: Value) -> Value:
    if value is None or isinstance(value, int | float):
        return None
    return len(_names(value))


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _is_missing(value: Value) -> bool:
    return value is None or value == ()


def _equal(left: Value, right: Value) -> bool:
    """Equality of what is there, where a set of one equals its member."""
    if _is_missing(left) or _is_missing(right):
        return False
    if isinstance(left, str | tuple) and isinstance(right, str | tuple):
        return sorted(_names(left)) == sorted(_names(right))
    return left == right


def _differ(left: Value, right: Value) -> bool:
    return not _is_missing(left) and not _is_missing(right) and not _equal(left, right)


def _within(left: Value, right: Value) -> bool:
    if not isinstance(left, str | tuple) or not isinstance(right, str | tuple) or not left:
        return False
    return all(name in _names(right) for name in _names(left))


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Value, Value], bool]:
    def of_numbers(left: Value, right: Value) -> bool:
        return isinstance(left, int | float) and isinstance(right, int | float) and compare(left, right)

    return of_numbers


_COMPARISONS: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": _equal,
    "!=": _differ,
    "in": _within,
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
}
