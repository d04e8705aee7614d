"""Making planned steps of written ones: selectors and conditions parsed, every name in them looked up.

Here: steps, their triggers and their actions; also of the Python face, whose calls are steps without a trigger. Not
here: checks, configs and the rest of a scenario (`planner`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from cluster.base.configs import TOPIC_DEFINITIONS, check_config
from cluster.base.errors import KafkaError
from cluster.lab.api_names import check_apis, check_error
from cluster.lab.catalogue import BY_VERB, FaultKind
from cluster.lab.quantities import parse_duration_us
from cluster.lab.selectors import (
    Selector,
    SelectorError,
    Variable,
    check_partition,
    check_selector,
    did_you_mean,
    parse_selector,
    parts_of,
)
from cluster.scenario.expressions import Expression, Vocabulary, parse_expression
from cluster.scenario.plan import Action, FaultAction, HealAction, Moment, OperationAction, PlannedStep, Repetition
from cluster.scenario.steps import ConfigChange, Elect, Produce, Reassign, Step

_MOMENT = re.compile(r"(?P<step>[a-z][a-z0-9-]*)(?P<end>\.end)?(?:\s*\+\s*(?P<plus>\S+))?")


class StepPlanner:
    """Plans steps of one scenario. `step_ids` and `bound` are the ids and the `$names` that they may use."""

    def __init__(self, vocabulary: Vocabulary, step_ids: Collection[str], bound: Collection[str]) -> None:
        self.vocabulary = vocabulary
        self.step_ids = list(step_ids)
        self.bound = bound

    def step(self, step: Step) -> PlannedStep:
        """Plan one step. Raises ValueError for what it names and there is not."""
        verb = step.actions[0] if step.actions else ""
        every = step.every
        return PlannedStep(
            id=step.id,
            at_us=step.at,
            after=None if step.after is None else self.moment(step.after),
            every=None if every is None else Repetition(every.period, every.jitter, every.count),
            when=None if step.when is None else self.expression(step.when),
            timeout_us=step.timeout,
            action=self.action(step, verb) if verb else None,
            verb=verb,
            lasts_us=step.for_,
            remember=step.as_,
            note=step.note,
        )

    def action(self, step: Step, verb: str) -> Action:
        """Plan what a step does."""
        argument = step.argument(verb)
        if verb == "heal":
            if argument != "all" and argument not in self.step_ids:
                raise ValueError(f"there is no step {argument!r}{did_you_mean(argument, (*self.step_ids, 'all'))}")
            return HealAction(argument)
        kind = BY_VERB[verb]
        if kind.takes == "operation":
            return self._operation(argument)
        check_apis(step.settings.get("apis", ()), requests_only=kind.group == "requests")
        check_error(step.settings.get("error"))
        for client in step.settings.get("clients", ()):
            if client not in self.vocabulary.clients:
                raise ValueError(f"unknown client {client!r}{did_you_mean(client, self.vocabulary.clients)}")
        return self._fault(kind, argument, step)

    def _fault(self, kind: FaultKind, argument: Any, step: Step) -> FaultAction:
        verb, settings = kind.verb, step.settings
        if kind.takes == "sides":
            sides = {
                name: tuple(self.selector(text, in_partition=True) for text in texts)
                for name, texts in argument.items()
            }
            if len(sides) < 2:
                raise ValueError("a partition has at least two sides")
            return FaultAction(verb, sides=sides, settings=settings)
        if kind.takes == "link":
            source, arrow, target = argument.partition(" -> ")
            if not arrow:
                raise ValueError(
                    f"{verb}: {argument!r} needs an arrow, such as followers(orders-0) -> leader(orders-0)"
                )
            return FaultAction(verb, self.selector(source), self.selector(target), settings=settings)
        return FaultAction(verb, self.selector(argument, nodes_only=kind.group != "network"), settings=settings)

    def selector(self, text: str, *, in_partition: bool = False, nodes_only: bool = False) -> Selector:
        """Parse a selector and look its names up. Raises SelectorError."""
        selector = parse_selector(text)
        words = self.vocabulary
        check_selector(selector, (*words.nodes, *words.clients), words.topics, words.racks)
        for part in parts_of(selector):
            if isinstance(part, Variable):
                self._check_bound(part.name)
            name = getattr(part, "text", "")
            if name == "rest" and not in_partition:
                raise SelectorError("rest has a meaning inside a partition only")
            if nodes_only and name in words.clients:
                raise SelectorError(f"{name} is a client; this is done to nodes")
        return selector

    def expression(self, text: str) -> Expression:
        """Parse a condition and look its names up. Raises SelectorError."""
        expression = parse_expression(text, self.vocabulary)
        for name in expression.variables:
            self._check_bound(name)
        return expression

    def moment(self, text: str) -> Moment:
        """Parse `STEP`, `STEP.end` or `STEP + 2s`. Raises ValueError."""
        match = _MOMENT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a moment: write STEP, STEP.end or STEP + 2s")
        if match["step"] not in self.step_ids:
            raise ValueError(f"there is no step {match['step']!r}{did_you_mean(match['step'], self.step_ids)}")
        plus_us = 0 if match["plus"] is None else parse_duration_us(match["plus"])
        return Moment(match["step"], match["end"] is not None, plus_us)

    def _check_bound(self, name: str) -> None:
        if name not in self.bound:
            raise SelectorError(f"${name} is bound by no step's as:{did_you_mean(name, self.bound)}")

    # --- operations --------------------------------------------------------------------------------

    def _operation(self, operation: Elect | Reassign | ConfigChange | Produce) -> OperationAction:
        words = self.vocabulary
        match operation:
            case Elect():
                check_partition(operation.preferred or operation.unclean or "", words.topics)
            case Reassign():
                check_partition(operation.partition, words.topics)
                for name in operation.to:
                    _check_known(name, words.nodes, "broker")
            case ConfigChange():
                self._check_config_change(operation)
            case Produce():
                _check_known(operation.topic, words.topics, "topic")
        return OperationAction(operation)

    def _check_config_change(self, change: ConfigChange) -> None:
        if change.broker is not None:
            _check_known(change.broker, self.vocabulary.nodes, "broker")
            return
        assert change.topic is not None
        _check_known(change.topic, self.vocabulary.topics, "topic")
        for name, value in change.set_.items():
            if value is not None:
                try:
                    check_config(TOPIC_DEFINITIONS, name, value)
                except KafkaError as error:
                    raise ValueError(error.message) from None


def _check_known(name: str, known: Sequence[str] | Any, what: str) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}{did_you_mean(name, known)}")


def bound_names(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what `as:` makes available: the name, and for a partition a name for each side."""
    bound: list[str] = []
    for step in steps:
        if step.as_ is None:
            continue
        bound.append(step.as_)
        bound += [f"{step.as_}.{side}" for side in (step.argument("partition") or {})]
    return tuple(bound)
