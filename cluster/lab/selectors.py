"""Selectors: how a fault names its targets by role, and what the role means just now.

Here: the grammar (`leader(orders-0)`, `one(followers(orders-0))`, `brokers - $victim`), the check that a
selector can mean something in a given cluster, and its resolution against what is known of the cluster.
Not here: where that knowledge comes from (`cluster.report` folds it from the trace), or what is done to the targets.

    selector := term { " - " term }
    term     := NAME | ROLE | FUNCTION "(" argument ")" | one/minority/majority "(" selector ")" | $NAME [ "." SIDE ]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from cluster.base.ids import TopicPartition
from cluster.base.ports import Rng

ROLES = ("nodes", "brokers", "controllers", "active-controller", "rest")
PARTITION_FUNCTIONS = ("leader", "preferred", "followers", "replicas", "isr", "elr")
PICKS = ("one", "minority", "majority")
FUNCTIONS = (*PARTITION_FUNCTIONS, "coordinator", "rack", *PICKS)
COORDINATOR_TOPICS = {"group": "__consumer_offsets", "txn": "__transaction_state"}
"""Where the state of what is coordinated lies: the leader of its partition is the coordinator."""

Bindings = Mapping[str, tuple[str, ...]]
"""What `as:` remembered: `victim` for `$victim`, `side.cut` for `$side.cut`."""


class SelectorError(ValueError):
    """A selector is malformed or names something that the cluster does not have."""


class NothingSelected(Exception):
    """A selector is sound but means nobody just now, such as the leader of a partition that has none."""


class ClusterFacts(Protocol):
    """What a selector can ask about a cluster. Names are node names (`b1`) and client ids (`p1`)."""

    @property
    def brokers(self) -> Sequence[str]:
        """All brokers, in order of node id."""

    @property
    def controllers(self) -> Sequence[str]:
        """All members of the metadata quorum, in order of node id."""

    @property
    def clients(self) -> Sequence[str]:
        """Client ids of the scenario; empty outside of one."""

    @property
    def racks(self) -> Mapping[str, str]:
        """Rack by broker name, for brokers that have one."""

    def active_controller(self) -> str | None:
        """The controller that leads the metadata quorum, None when nobody does."""

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; 0 when it is unknown."""

    def leader(self, partition: TopicPartition) -> str | None:
        """The running broker that leads by the newest committed metadata, None when nobody does."""

    def replicas(self, partition: TopicPartition) -> Sequence[str]:
        """The assigned replicas, preferred leader first; empty when the partition is unknown."""

    def isr(self, partition: TopicPartition) -> Sequence[str]:
        """The in-sync replicas by the newest committed metadata."""

    def elr(self, partition: TopicPartition) -> Sequence[str]:
        """The eligible leader replicas (KIP-966) by the newest committed metadata."""


@dataclass(frozen=True, slots=True)
class Name:
    """A node, a client or a role that takes no argument."""

    text: str


@dataclass(frozen=True, slots=True)
class RoleOf:
    """A role within a partition or a rack, or for a group: `leader(orders-0)`, `rack(a)`, `coordinator(group:g1)`."""

    function: str
    argument: str


@dataclass(frozen=True, slots=True)
class Pick:
    """Some of a set, drawn from the run's seed: `one(brokers)`."""

    how: str
    among: Selector


@dataclass(frozen=True, slots=True)
class Difference:
    """Those of `left` that are not in `right`."""

    left: Selector
    right: Selector


@dataclass(frozen=True, slots=True)
class Variable:
    """What an earlier step remembered: `$victim`, `$side.main`. `name` has no dollar sign."""

    name: str


Selector = Name | RoleOf | Pick | Difference | Variable

_TERM = re.compile(r"(?P<dollar>\$)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.:-]*)\s*(?P<open>\()?")


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean leader?` for a near miss, or the list of choices when there are few, or nothing."""
    known = list(dict.fromkeys(choices))
    near = get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there is {', '.join(known)}" if 0 < len(known) <= 24 else ""


def parse_selector(text: str) -> Selector:
    """Read a selector. Raises SelectorError saying what is wrong with it."""
    selector, position = parse_selector_at(text, 0)
    if text[position:].strip():
        raise SelectorError(f"{text!r}: nothing may follow {text[:position].strip()!r}; a minus needs spaces around it")
    return selector


def parse_selector_at(text: str, position: int) -> tuple[Selector, int]:
    """Read a selector that starts at `position`; return it and where it ends. Raises SelectorError."""
    selector, position = _parse_term(text, position)
    while text.startswith(" - ", position):
        right, position = _parse_term(text, position + 3)
        selector = Difference(selector, right)
    return selector, position


def _parse_term(text: str, position: int) -> tuple[Selector, int]:
    while position < len(text) and text[position] == " ":
        position += 1
    match = _TERM.match(text, position)
    if match is None:
        raise SelectorError(f"{text!r}: expected a selector such as leader(orders-0) at {text[position:]!r}")
    name = match["name"]
    if match["dollar"]:
        return Variable(name), match.end("name")
    if not match["open"]:
        return Name(name), match.end("name")
    if name in PICKS:
        inner, position = parse_selector_at(text, match.end())
        return Pick(name, inner), _closing(text, position)
    end = text.find(")", match.end())
    if end < 0:
        raise SelectorError(f"{text!r}: {name}( is not closed")
    if name not in FUNCTIONS:
        raise SelectorError(f"unknown selector {name}(){did_you_mean(name, FUNCTIONS)}")
    return RoleOf(name, text[match.end() : end].strip()), end + 1


def _closing(text: str, position: int) -> int:
    while position < len(text) and text[position] == " ":
        position += 1
    if not text.startswith(")", position):
        raise SelectorError(f"{text!r}: a bracket is not closed")
    return position + 1


def check_selector(selector: Selector, names: Sequence[str], topics: Mapping[str, int], racks: Sequence[str]) -> None:
    """Raise SelectorError when a part names no node, client, role, partition or rack of this cluster.

    `names` are nodes and clients, `topics` gives the number of partitions. Variables are the caller's to check.
    """
    for part in parts_of(selector):
        if isinstance(part, Name) and part.text not in names and part.text not in ROLES:
            hint = did_you_mean(part.text, (*names, *ROLES, *(f"{name}()" for name in FUNCTIONS)))
            raise SelectorError(f"unknown selector {part.text!r}{hint}")
        if isinstance(part, RoleOf) and part.function == "rack" and part.argument not in racks:
            raise SelectorError(f"unknown rack {part.argument!r}{did_you_mean(part.argument, racks)}")
        if isinstance(part, RoleOf) and part.function == "coordinator":
            check_coordinated(part.argument)
        elif isinstance(part, RoleOf) and part.function != "rack":
            check_partition(part.argument, topics)


def check_coordinated(text: str) -> tuple[str, str]:
    """Return what is coordinated and its name: ("group", "g1") of `group:g1`. Raises SelectorError."""
    kind, colon, name = text.partition(":")
    if kind not in COORDINATOR_TOPICS or not colon or not name:
        raise SelectorError(f"coordinator({text}): write coordinator(group:NAME) or coordinator(txn:TRANSACTIONAL-ID)")
    return kind, name


def coordinator(text: str, facts: ClusterFacts) -> str | None:
    """Return the broker that coordinates `group:g1` or `txn:x`; None while nobody does. Raises SelectorError."""
    from cluster.broker.coordinator.topic import key_hash

    kind, name = check_coordinated(text)
    topic = COORDINATOR_TOPICS[kind]
    count = facts.partition_count(topic)
    return facts.leader(TopicPartition(topic, key_hash(name) % count)) if count else None


def check_partition(text: str, topics: Mapping[str, int]) -> TopicPartition:
    """Return the partition that a text names. Raises SelectorError when the cluster has no such partition."""
    try:
        partition = TopicPartition.parse(text)
    except ValueError as error:
        raise SelectorError(str(error)) from None
    if partition.topic not in topics:
        raise SelectorError(f"unknown topic {partition.topic!r}{did_you_mean(partition.topic, topics)}")
    if partition.partition >= topics[partition.topic]:
        last = f"{partition.topic}-{topics[partition.topic] - 1}"
        raise SelectorError(f"there is no {text}; the last partition of {partition.topic} is {last}")
    return partition


def parts_of(selector: Selector) -> Iterator[Name | RoleOf | Variable]:
    """Every leaf of a selector, left to right."""
    if isinstance(selector, Difference):
        yield from parts_of(selector.left)
        yield from parts_of(selector.right)
    elif isinstance(selector, Pick):
        yield from parts_of(selector.among)
    else:
        yield selector


def resolve(
    selector: Selector,
    facts: ClusterFacts,
    *,
    rng: Rng,
    bindings: Bindings | None = None,
    rest: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Return the names that a selector means just now, each once; empty when it means nobody.

    `rest` are the names that no other side of a partition holds. Raises SelectorError for an unbound `$name`,
    for `rest` outside of a partition and for a name that the cluster does not have.
    """
    match selector:
        case Variable(name):
            if bindings is None or name not in bindings:
                raise SelectorError(f"${name} is not bound")
            return bindings[name]
        case Difference(left, right):
            taken = resolve(right, facts, rng=rng, bindings=bindings, rest=rest)
            return tuple(
                name for name in resolve(left, facts, rng=rng, bindings=bindings, rest=rest) if name not in taken
            )
        case Pick(how, among):
            return _pick(how, resolve(among, facts, rng=rng, bindings=bindings, rest=rest), rng)
        case RoleOf(function, argument):
            return _role_of(function, argument, facts)
        case Name(text):
            return _named(text, facts, rest)


def resolve_some(
    selector: Selector,
    facts: ClusterFacts,
    *,
    rng: Rng,
    bindings: Bindings | None = None,
    rest: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Resolve, and raise NothingSelected instead of returning nothing."""
    names = resolve(selector, facts, rng=rng, bindings=bindings, rest=rest)
    if not names:
        raise NothingSelected(f"{describe(selector)} means nobody just now")
    return names


def describe(selector: Selector) -> str:
    """Return the selector as text again."""
    match selector:
        case Variable(name):
            return f"${name}"
        case Difference(left, right):
            return f"{describe(left)} - {describe(right)}"
        case Pick(how, among):
            return f"{how}({describe(among)})"
        case RoleOf(function, argument):
            return f"{function}({argument})"
        case Name(text):
            return text


def _pick(how: str, names: tuple[str, ...], rng: Rng) -> tuple[str, ...]:
    if not names:
        return ()
    wanted = {"one": 1, "minority": (len(names) - 1) // 2, "majority": len(names) // 2 + 1}[how]
    left = list(names)
    drawn = [left.pop(rng.randrange(0, len(left))) for _ in range(wanted)]
    return tuple(name for name in names if name in drawn)


def _role_of(function: str, argument: str, facts: ClusterFacts) -> tuple[str, ...]:
    if function == "rack":
        return tuple(name for name in facts.brokers if facts.racks.get(name) == argument)
    if function == "coordinator":
        who = coordinator(argument, facts)
        return () if who is None else (who,)
    try:
        partition = TopicPartition.parse(argument)
    except ValueError as error:
        raise SelectorError(str(error)) from None
    leader = facts.leader(partition)
    match function:
        case "leader":
            return () if leader is None else (leader,)
        case "preferred":
            return tuple(facts.replicas(partition)[:1])
        case "followers":
            return tuple(name for name in facts.replicas(partition) if name != leader)
        case "replicas":
            return tuple(facts.replicas(partition))
        case "isr":
            return tuple(facts.isr(partition))
        case "elr":
            return tuple(facts.elr(partition))
    raise SelectorError(f"unknown selector {function}(){did_you_mean(function, FUNCTIONS)}")


def _named(text: str, facts: ClusterFacts, rest: Sequence[str] | None) -> tuple[str, ...]:
    match text:
        case "nodes":
            return tuple(dict.fromkeys((*facts.controllers, *facts.brokers)))
        case "brokers":
            return tuple(facts.brokers)
        case "controllers":
            return tuple(facts.controllers)
        case "active-controller":
            active = facts.active_controller()
            return () if active is None else (active,)
        case "rest":
            if rest is None:
                raise SelectorError("rest has a meaning inside a partition only")
            return tuple(rest)
    names = (*facts.brokers, *facts.controllers, *facts.clients)
    if text not in names:
        raise SelectorError(f"unknown selector {text!r}{did_you_mean(text, (*names, *ROLES))}")
    return (text,)
