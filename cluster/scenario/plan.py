"""A scenario with every name in it checked and every text parsed: what the runner executes.

Here: steps, actions and checks as facts. Not here: how they are made of a scenario (`planner`), or the running
(`runner`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.lab.selectors import Selector
from cluster.lab.target import ClusterSpec
from cluster.scenario.document import Document
from cluster.scenario.expressions import Expression
from cluster.scenario.keys import VerdictWord
from cluster.scenario.schema import Client, Scenario
from cluster.scenario.steps import ConfigChange, Elect, Produce, Reassign


@dataclass(frozen=True, slots=True)
class Moment:
    """When a step fired, or when it ended, and so long after."""

    step: str
    is_end: bool = False
    plus_us: int = 0


@dataclass(frozen=True, slots=True)
class FaultAction:
    """A fault of the lab's catalogue.

    `names` are nodes, or the sources of a link, whose other ends are `towards`; `sides` are those of a partition.
    """

    verb: str
    names: Selector | None = None
    towards: Selector | None = None
    sides: Mapping[str, tuple[Selector, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealAction:
    """The fault of one step is undone, or all of them."""

    step: str


@dataclass(frozen=True, slots=True)
class OperationAction:
    """Something that an operator does through Kafka's own API: elect, reassign, config, produce."""

    operation: Elect | Reassign | ConfigChange | Produce


Action = FaultAction | HealAction | OperationAction


@dataclass(frozen=True, slots=True)
class Repetition:
    """A step fires again after a period, give or take a jitter; `count` times, or until the end."""

    period_us: int
    jitter_us: int
    count: int | None


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step, ready to wait for its trigger."""

    id: str
    at_us: int | None
    after: Moment | None
    every: Repetition | None
    when: Expression | None
    timeout_us: int
    action: Action | None
    verb: str
    lasts_us: int | None
    remember: str | None
    note: str


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """One check. Exactly one of `oracle` (a name in the registry) and `expression` is set."""

    id: str
    kind: str
    statement: str
    oracle: str | None
    expression: Expression | None
    within_us: int | None
    of: Moment | None
    between: tuple[Moment, Moment] | None
    expected: VerdictWord

    @property
    def moments(self) -> tuple[Moment, ...]:
        """The moments that its scope hangs on."""
        if self.between is not None:
            return self.between
        return () if self.of is None else (self.of,)


@dataclass(frozen=True, slots=True)
class Plan:
    """One variant of a scenario, ready to run. `document` is what it was made of, variant and overrides applied."""

    scenario: Scenario
    variant: str | None
    cluster: ClusterSpec
    steps: tuple[PlannedStep, ...]
    checks: tuple[PlannedCheck, ...]
    document: Document
    script: Callable[[Any], Awaitable[None]] | None = None
    """A program that breaks the cluster, given its `Lab`, in place of the steps."""

    @property
    def clients(self) -> Mapping[str, Client]:
        """The workloads by client id."""
        return self.scenario.clients
