"""Making a plan of a scenario: every name in it is looked up, every text parsed, every mistake named.

Here: variants and overrides applied, and the complaints about what does not exist: nodes, selectors, steps, `$names`,
clients, configs. Not here: keys and types (`schema`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from cluster.base.config_types import ConfigDefinition
from cluster.base.configs import DEFINITIONS, TOPIC_DEFINITIONS, check_config
from cluster.base.errors import KafkaError
from cluster.lab.errors import LabError
from cluster.lab.selectors import did_you_mean
from cluster.lab.target import BrokerSpec, ClusterSpec, TopicSpec, check_topic, numbered_cluster
from cluster.scenario.check_planner import plan_check
from cluster.scenario.client_configs import check_client
from cluster.scenario.document import Document, patched, with_override
from cluster.scenario.errors import ScenarioError
from cluster.scenario.expressions import Vocabulary
from cluster.scenario.keyed_records import compacted_topics
from cluster.scenario.keys import IDENTIFIER, VerdictWord
from cluster.scenario.legacy import legacy_properties
from cluster.scenario.plan import Plan
from cluster.scenario.schema import Scenario, check_schema
from cluster.scenario.step_order import never_fired
from cluster.scenario.step_planner import StepPlanner, bound_names

_T = TypeVar("_T")

_FEATURES: Mapping[str, str] = {"eligible.leader.replicas.version": "eligible.leader.replicas.enable"}
"""Kafka's features that can be switched, and the config that switches each here."""


def make_plan(document: Document, variant: str | None = None, overrides: tuple[str, ...] = ()) -> Plan:
    """Patch a document with a variant and overrides, and check it whole. Raises ScenarioError."""
    base = check_schema(document)
    if variant is None:
        return _made_plan(document, None, {}, overrides)
    if variant not in base.variants:
        raise ScenarioError([f"unknown variant {variant!r}{did_you_mean(variant, base.variants)}"])
    chosen = base.variants[variant]
    try:
        return _made_plan(patched(document, chosen.patch), variant, chosen.verdicts, overrides)
    except ScenarioError as error:
        raise ScenarioError([f"variant {variant}: {problem}" for problem in error.problems]) from None


def _made_plan(
    document: Document, variant: str | None, verdicts: Mapping[str, VerdictWord], overrides: tuple[str, ...]
) -> Plan:
    for override in overrides:
        document = with_override(document, override)
    return _Planner(document, check_schema(document), variant, verdicts).plan()


def make_all_plans(document: Document, overrides: tuple[str, ...] = ()) -> tuple[Plan, ...]:
    """Return the plans of the scenario itself and of every variant, so that a mistake in any is found."""
    variants = check_schema(document).variants
    return (make_plan(document, None, overrides), *(make_plan(document, name, overrides) for name in variants))


def internal_topics(scenario: Scenario) -> dict[str, int]:
    """Return the topics in which coordinators keep their state, which selectors may name, and their partitions."""
    counts = {
        "__consumer_offsets": "offsets.topic.num.partitions",
        "__transaction_state": "transaction.state.log.num.partitions",
    }
    configs = scenario.cluster.config
    return {name: int(configs.get(config, DEFINITIONS[config].default)) for name, config in counts.items()}


def cluster_spec(scenario: Scenario) -> ClusterSpec:
    """Return the cluster that a scenario asks for. Raises ScenarioError when there can be none."""
    wanted = scenario.cluster
    count = wanted.brokers if isinstance(wanted.brokers, int) else len(wanted.brokers)
    numbered = numbered_cluster(count, wanted.controllers, combined=wanted.combined)
    brokers, controllers = numbered.brokers, numbered.controllers
    if not isinstance(wanted.brokers, int):
        brokers = tuple(BrokerSpec(broker.id, broker.rack, broker.joins_later) for broker in wanted.brokers)
        if wanted.combined:
            controllers = tuple(broker.name for broker in brokers[: wanted.controllers])
    brokers += _brokers_to_come(scenario, [broker.name for broker in brokers])
    spec = ClusterSpec(
        brokers=brokers,
        controllers=controllers,
        combined=wanted.combined,
        profile=wanted.profile,
        properties={
            **wanted.config,
            **_feature_properties(wanted.features),
            **legacy_properties(wanted.legacy),
        },
        topics=tuple(
            TopicSpec(name, topic.partitions, topic.replication_factor, dict(topic.config))
            for name, topic in wanted.topics.items()
        ),
        storage_writeback_ms=wanted.storage.writeback // 1000,
        latency_ms=wanted.network.latency / 1000,
        jitter_ms=wanted.network.jitter / 1000,
    )
    _check_cluster(spec)
    return spec


def _check_cluster(spec: ClusterSpec) -> None:
    """Raise ScenarioError when there can be no such cluster. What the lab advises is about flags, and left out."""
    problems = []
    try:
        replace(spec, topics=()).check()
    except LabError as error:
        raise ScenarioError([f"cluster: {error.cause}"]) from None
    for topic in spec.topics:
        try:
            check_topic(topic, sum(not broker.joins_later for broker in spec.brokers))
        except LabError as error:
            problems.append(f"cluster/topics/{topic.name}: {error.cause}")
    if problems:
        raise ScenarioError(problems)


def _brokers_to_come(scenario: Scenario, known: list[str]) -> tuple[BrokerSpec, ...]:
    """Brokers that a step adds have their id and their addresses from the beginning."""
    added = [step.argument("add-broker") for step in scenario.steps]
    names = dict.fromkeys(name for name in added if name is not None and re.fullmatch(IDENTIFIER, name))
    return tuple(BrokerSpec(name, joins_later=True) for name in names if name not in known)


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
        self.step_ids = [step.id for step in scenario.steps]
        known = {**self.topics, **internal_topics(scenario)}
        words = Vocabulary(self.spec.node_names, tuple(scenario.clients), known, self.racks)
        self.steps = StepPlanner(words, self.step_ids, bound_names(scenario.steps))

    def plan(self) -> Plan:
        scenario = self.scenario
        self._check_identities()
        self._check_configs("cluster/config", scenario.cluster.config, DEFINITIONS)
        for name, topic in scenario.cluster.topics.items():
            self._check_configs(f"cluster/topics/{name}/config", topic.config, TOPIC_DEFINITIONS)
        for name, client in scenario.clients.items():
            self._try(f"clients/{name}", check_client, client, self.topics)
        self._check_keys()
        steps = [self._try(f"steps/{step.id}", self.steps.step, step) for step in scenario.steps]
        checks = [
            self._try(f"expect/{check.id}", plan_check, check, self.steps, self.verdicts.get(check.id))
            for check in scenario.expect
        ]
        if not self.problems:
            self.problems += never_fired([step for step in steps if step is not None], scenario.duration)
        if self.problems:
            raise ScenarioError(self.problems)
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

    def _check_keys(self) -> None:
        """Whoever writes to a compacted topic needs keys: brokers refuse records without."""
        compacted = compacted_topics(self.spec)
        for name, client in self.scenario.clients.items():
            if client.produce in compacted and client.keys is None:
                remedy = "leave transactional-id out and give it keys" if client.transactional_id else "give it keys"
                self.problems.append(f"clients/{name}: {client.produce} is compacted, its records need keys: {remedy}")
            if client.to in compacted:
                self.problems.append(f"clients/{name}: {client.to} is compacted, and copies have no keys")
        for step in self.scenario.steps:
            made = getattr(step, "produce", None)
            if made is not None and made.topic in compacted:
                self.problems.append(f"steps/{step.id}: {made.topic} is compacted, and a step's records have no keys")

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
