"""A scenario with every name in it checked and every text parsed: what the runner executes.

Here: steps, actions and checks as facts. Not here: how they are made of a scenario (`planner`), or the running
(`runner`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.lab.selectors import Selector
from cluster.lab.target import ClusterSpec
from cluster.scenario.document import Document
from cluster.scenario.expressions import Expression
from cluster.scenario.schema import Client, Scenario, VerdictWord


@dataclass(frozen=True, slots=True)
class Moment:
    """When a step fired, or when it ended, and so long after."""

    step: str
    is_end: bool = False
    plus_us: int = 0


@dataclass(frozen=True, slots=True)
class NodeAction:
    """Something done to nodes: kill, stop, start, restart, pause, resume, power-off."""

    verb: str
    targets: Selector


@dataclass(frozen=True, slots=True)
class PartitionAction:
    """Links between names that share no side are cut; a name on no side keeps all its links."""

    sides: Mapping[str, tuple[Selector, ...]]


@dataclass(frozen=True, slots=True)
class IsolateAction:
    """Each target is cut off from every other node and client."""

    targets: Selector


@dataclass(frozen=True, slots=True)
class LinkAction:
    """Messages from sources to targets are late or lost; `backward` turns the arrow round, `both` means either way."""

    verb: str
    sources: Selector
    targets: Selector
    apis: tuple[str, ...]
    latency_us: int
    jitter_us: int
    drop_rate: float
    direction: str


@dataclass(frozen=True, slots=True)
class HealAction:
    """The fault of one step is undone, or all of them."""

    step: str


Action = NodeAction | PartitionAction | IsolateAction | LinkAction | HealAction


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step, ready to wait for its trigger."""

    id: str
    at_us: int | None
    after: Moment | None
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

    @property
    def clients(self) -> Mapping[str, Client]:
        """The workloads by client id."""
        return self.scenario.clients
