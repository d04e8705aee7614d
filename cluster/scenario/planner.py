"""Making a plan of a scenario: every name in it is looked up, every text parsed, every mistake named.

Here: variants and overrides applied, and the complaints about what does not exist: nodes, selectors, steps, `$names`,
clients, configs. Not here: keys and types (`schema`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cluster.base.configs import DEFINITIONS, TOPIC_DEFINITIONS, ConfigDefinition, check_config
from cluster.base.errors import KafkaError
from cluster.checks import ORACLES
from cluster.lab.errors import LabError
from cluster.lab.selectors import (
    Selector,
    SelectorError,
    Variable,
    check_selector,
    did_you_mean,
    parse_selector,
    parts_of,
)
from cluster.lab.target import BrokerSpec, ClusterSpec, TopicSpec, numbered_cluster
from cluster.scenario.client_configs import check_client
from cluster.scenario.document import Document, patched, with_override
from cluster.scenario.errors import ScenarioError
from cluster.scenario.expressions import Expression, Vocabulary, parse_expression
from cluster.scenario.plan import (
    Action,
    HealAction,
    IsolateAction,
    LinkAction,
    Moment,
    NodeAction,
    PartitionAction,
    Plan,
    PlannedCheck,
    PlannedStep,
)
from cluster.scenario.quantities import parse_duration_us
from cluster.scenario.schema import NODE_ACTIONS, Check, Scenario, Step, VerdictWord, check_schema

_T = TypeVar("_T")

_FEATURES: Mapping[str, str] = {"eligible.leader.replicas.version": "eligible.leader.replicas.enable"}
"""Kafka's features that can be switched, and the config that switches each here."""

_MOMENT = re.compile(r"(?P<step>[a-z][a-z0-9-]*)(?P<end>\.end)?(?:\s*\+\s*(?P<plus>\S+))?")


def make_plan(document: Document, variant: str | None = None, overrides: tuple[str, ...] = ()) -> Plan:
    """Patch a document with a variant and overrides, and check it whole. Raises ScenarioError."""
    base = check_schema(document)
    changed = document
    verdicts: Mapping[str, VerdictWord] = {}
    if variant is not None:
        if variant not in base.variants:
            raise ScenarioError([f"unknown variant {variant!r}{did_you_mean(variant, base.variants)}"])
        changed = patched(document, base.variants[variant].patch)
        verdicts = base.variants[variant].verdicts
    for override in overrides:
        changed = with_override(changed, override)
    return _Planner(changed, check_schema(changed), variant, verdicts).plan()


def make_all_plans(document: Document, overrides: tuple[str, ...] = ()) -> tuple[Plan, ...]:
    """Return the plans of the scenario itself and of every variant, so that a mistake in any is found."""
    variants = check_schema(document).variants
    return (make_plan(document, None, overrides), *(make_plan(document, name, overrides) for name in variants))


def cluster_spec(scenario: Scenario) -> ClusterSpec:
    """Return the cluster that a scenario asks for. Raises ScenarioError when there can be none."""
    wanted = scenario.cluster
    count = wanted.brokers if isinstance(wanted.brokers, int) else len(wanted.brokers)
    numbered = numbered_cluster(count, wanted.controllers, combined=wanted.combined)
    brokers, controllers = numbered.brokers, numbered.controllers
    if not isinstance(wanted.brokers, int):
        brokers = tuple(BrokerSpec(broker.id, broker.rack) for broker in wanted.brokers)
        if wanted.combined:
            controllers = tuple(broker.name for broker in brokers[: wanted.controllers])
    spec = ClusterSpec(
        brokers=brokers,
        controllers=controllers,
        combined=wanted.combined,
        profile=wanted.profile,
        properties={**wanted.config, **_feature_properties(wanted.features)},
        topics=tuple(
            TopicSpec(name, topic.partitions, topic.replication_factor, dict(topic.config))
            for name, topic in wanted.topics.items()
        ),
        storage_writeback_ms=wanted.storage.writeback // 1000,
        latency_ms=wanted.network.latency / 1000,
        jitter_ms=wanted.network.jitter / 1000,
    )
    try:
        spec.check()
    except LabError as error:
        raise ScenarioError([f"cluster: {error}"]) from None
    return spec


def _feature_properties(features: Mapping[str, int]) -> dict[str, str]:
    properties: dict[str, str] = {}
    for name, level in features.items():
        if name not in _FEATURES or level not in (0, 1):
            known = ", ".join(f"{feature}: 0|1" for feature in _FEATURES)
            raise ScenarioError([f"cluster/features/{name}: {level} is not in this version; there is {known}"])
        properties[_FEATURES[name]] = "true" if level else "false"
    return properties


class _Planner:
    """Checks one scenario against itself and collects all complaints before it raises."""

    def __init__(
        self, document: Document, scenario: Scenario, variant: str | None, verdicts: Mapping[str, VerdictWord]
    ) -> None:
        self.document = document
        self.scenario = scenario
        self.variant = variant
        self.verdicts = verdicts
        self.problems: list[str] = []
        self.spec = cluster_spec(scenario)
        self.topics = {topic.name: topic.partitions for topic in self.spec.topics}
        self.racks = tuple(dict.fromkeys(broker.rack for broker in self.spec.brokers if broker.rack))
        self.names = (*self.spec.node_names, *scenario.clients)
        self.vocabulary = Vocabulary(self.spec.node_names, tuple(scenario.clients), self.topics, self.racks)
        self.step_ids = [step.id for step in scenario.steps]
        self.bound = _bound_names(scenario.steps)

    def plan(self) -> Plan:
        scenario = self.scenario
        self._check_identities()
        self._check_configs("cluster/config", scenario.cluster.config, DEFINITIONS)
        for name, topic in scenario.cluster.topics.items():
            self._check_configs(f"cluster/topics/{name}/config", topic.config, TOPIC_DEFINITIONS)
        for name, client in scenario.clients.items():
            self._try(f"clients/{name}", check_client, client, self.topics)
        steps = [self._try(f"steps/{step.id}", self._step, step) for step in scenario.steps]
        checks = [self._try(f"expect/{check.id}", self._check, check) for check in scenario.expect]
        if self.problems:
            where = "" if self.variant is None else f"variant {self.variant}: "
            raise ScenarioError([f"{where}{problem}" for problem in self.problems])
        return Plan(
            scenario=scenario,
            variant=self.variant,
            cluster=self.spec,
            steps=tuple(step for step in steps if step is not None),
            checks=tuple(check for check in checks if check is not None),
            document=self.document,
        )

    def _try(self, where: str, function: Callable[..., _T], *arguments: Any) -> _T | None:
        try:
            return function(*arguments)
        except ValueError as error:  # SelectorError and what quantities raise
            self.problems.append(f"{where}: {error}")
            return None

    def _check_configs(self, where: str, configs: Mapping[str, str], table: Mapping[str, ConfigDefinition]) -> None:
        for name, value in configs.items():
            try:
                check_config(table, name, value)
            except KafkaError as error:
                self.problems.append(f"{where}: {error.message}")

    def _check_identities(self) -> None:
        """Ids are used once, and the verdicts of a variant are about checks that exist."""
        check_ids = [check.id for check in self.scenario.expect]
        for what, ids in (("step", self.step_ids), ("check", check_ids)):
            self.problems += [
                f"the {what} id {one!r} is there twice" for one in dict.fromkeys(ids) if ids.count(one) > 1
            ]
        for name in self.scenario.clients:
            if name in self.spec.node_names:
                self.problems.append(f"clients/{name}: a node has that name")
        for name in self.verdicts:
            if name not in check_ids:
                self.problems.append(f"verdicts: there is no check {name!r}{did_you_mean(name, check_ids)}")

    # --- steps -------------------------------------------------------------------------------------

    def _step(self, step: Step) -> PlannedStep:
        verb = step.actions[0] if step.actions else ""
        return PlannedStep(
            id=step.id,
            at_us=step.at,
            after=None if step.after is None else self._moment(step.after),
            when=None if step.when is None else self._expression(step.when),
            timeout_us=step.timeout,
            action=self._action(step, verb) if verb else None,
            verb=verb,
            lasts_us=step.for_,
            remember=step.as_,
            note=step.note,
        )

    def _action(self, step: Step, verb: str) -> Action:
        argument = step.argument(verb)
        if verb in NODE_ACTIONS:
            return NodeAction(verb, self._selector(argument, nodes_only=True))
        if verb == "partition":
            sides = {
                name: tuple(self._selector(text, in_partition=True) for text in texts)
                for name, texts in argument.items()
            }
            if len(sides) < 2:
                raise ValueError("a partition has at least two sides")
            return PartitionAction(sides)
        if verb == "isolate":
            return IsolateAction(self._selector(argument))
        if verb == "heal":
            if argument != "all" and argument not in self.step_ids:
                raise ValueError(f"there is no step {argument!r}{did_you_mean(argument, (*self.step_ids, 'all'))}")
            return HealAction(argument)
        source, arrow, target = argument.partition(" -> ")
        if not arrow:
            raise ValueError(f"{verb}: {argument!r} needs an arrow, such as followers(orders-0) -> leader(orders-0)")
        return LinkAction(
            verb=verb,
            sources=self._selector(source),
            targets=self._selector(target),
            apis=tuple(step.apis),
            latency_us=step.latency,
            jitter_us=step.jitter,
            drop_rate=step.rate,
            direction=step.direction,
        )

    def _selector(self, text: str, *, in_partition: bool = False, nodes_only: bool = False) -> Selector:
        selector = parse_selector(text)
        check_selector(selector, self.names, self.topics, self.racks)
        for part in parts_of(selector):
            if isinstance(part, Variable):
                self._check_bound(part.name)
            name = getattr(part, "text", "")
            if name == "rest" and not in_partition:
                raise SelectorError("rest has a meaning inside a partition only")
            if nodes_only and name in self.scenario.clients:
                raise SelectorError(f"{name} is a client; this is done to nodes")
        return selector

    def _check_bound(self, name: str) -> None:
        if name not in self.bound:
            raise SelectorError(f"${name} is bound by no step's as:{did_you_mean(name, self.bound)}")

    def _moment(self, text: str) -> Moment:
        match = _MOMENT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a moment: write STEP, STEP.end or STEP + 2s")
        if match["step"] not in self.step_ids:
            raise ValueError(f"there is no step {match['step']!r}{did_you_mean(match['step'], self.step_ids)}")
        plus_us = 0 if match["plus"] is None else parse_duration_us(match["plus"])
        return Moment(match["step"], match["end"] is not None, plus_us)

    def _expression(self, text: str) -> Expression:
        expression = parse_expression(text, self.vocabulary)
        for name in expression.variables:
            self._check_bound(name)
        return expression

    # --- checks ------------------------------------------------------------------------------------

    def _check(self, check: Check) -> PlannedCheck:
        kind = check.kinds[0]
        statement = check.statement(kind)
        assert statement is not None
        is_oracle = statement in ORACLES
        if is_oracle and kind not in ("always", "finally"):
            raise ValueError(f"{statement} is an invariant: say always or finally, not {kind}")
        expression = None if is_oracle else self._statement(statement)
        if expression is not None and expression.at_end_only and kind != "finally":
            raise ValueError(f"{statement!r} is known at the end only: say finally")
        return PlannedCheck(
            id=check.id,
            kind=kind,
            statement=statement,
            oracle=statement if is_oracle else None,
            expression=expression,
            within_us=check.within,
            of=None if check.of is None else self._moment(check.of),
            between=None if check.between is None else (self._moment(check.between[0]), self._moment(check.between[1])),
            expected=self.verdicts.get(check.id, check.verdict),
        )

    def _statement(self, text: str) -> Expression:
        try:
            return self._expression(text)
        except SelectorError as error:
            if " " not in text and "(" not in text and (hint := did_you_mean(text, ORACLES)).startswith("; did"):
                raise SelectorError(f"unknown invariant {text!r}{hint}") from None
            raise SelectorError(str(error)) from None


def _bound_names(steps: Sequence[Step]) -> tuple[str, ...]:
    """What `as:` makes available: the name, and for a partition a name for each side."""
    bound: list[str] = []
    for step in steps:
        if step.as_ is None:
            continue
        bound.append(step.as_)
        bound += [f"{step.as_}.{side}" for side in step.partition or {}]
    return tuple(bound)
