"""Steps as data: triggers, one action out of the catalogue, what is remembered.

Here: the model of one step; its actions and their options are made of the lab's catalogue of faults. Not here: the rest
of a scenario (`schema`), or whether names that a step uses exist (`step_planner`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from cluster.lab.catalogue import BY_VERB, CATALOGUE, OPTIONS
from cluster.lab.quantities import parse_bandwidth, parse_drift, parse_offset_us
from cluster.lab.selectors import did_you_mean
from cluster.runtime.faulty_disk import OPERATIONS
from cluster.runtime.links import DISTRIBUTIONS
from cluster.scenario.keys import ConfigText, DurationUs, Identifier, Share, Strict, TextList

ACTIONS = (*BY_VERB, "heal")

OPTION_KINDS: Mapping[str, Any] = {
    "duration": DurationUs,
    "offset": Annotated[int, BeforeValidator(parse_offset_us, json_schema_input_type=str)],
    "share": Share,
    "drift": Annotated[float, BeforeValidator(parse_drift, json_schema_input_type=str)],
    "bandwidth": Annotated[float, BeforeValidator(parse_bandwidth, json_schema_input_type=str)],
    "count": Annotated[int, Field(ge=1)],
    "words": TextList,
    "word": str,
    "direction": Literal["forward", "backward", "both"],
    "spread": Literal["uniform", "exponential"],
}
assert DISTRIBUTIONS == ("uniform", "exponential")


class Elect(Strict):
    """An election: of the preferred replica, or of one out of sync when nobody else is left."""

    preferred: str | None = None
    unclean: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Elect:
        if (self.preferred is None) == (self.unclean is None):
            raise ValueError("an election is preferred or unclean, of one partition such as orders-0")
        return self


class Reassign(Strict):
    """A reassignment (KIP-455): the replicas that a partition shall have, preferred leader first."""

    partition: str
    to: TextList


class ConfigChange(Strict):
    """A change of one topic's or one broker's configs; null goes back to the default."""

    topic: str | None = None
    broker: str | None = None
    set_: dict[str, ConfigText | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_resource(self) -> ConfigChange:
        if (self.topic is None) == (self.broker is None):
            raise ValueError("a change of config is about a topic or about a broker")
        if not self.set_:
            raise ValueError("a change of config needs set: {NAME: VALUE}")
        return self


class Produce(Strict):
    """Some records, sent one after the other by a client that is called as the step is."""

    topic: str
    count: int = Field(1, ge=1, le=100_000)
    acks: Literal[0, 1, "all"] = "all"
    partition: int | None = Field(None, ge=0)


_OPERATIONS: Mapping[str, Any] = {"elect": Elect, "reassign": Reassign, "config": ConfigChange, "produce": Produce}


class Every(Strict):
    """A step that fires again and again: each `period`, give or take a `jitter`, `count` times or to the end."""

    period: DurationUs
    jitter: DurationUs = 0
    count: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _time_passes(self) -> Every:
        if self.period == 0:
            raise ValueError("a period of 0s would never end: write how often, such as 15s")
        return self


def _every(given: object) -> object:
    return {"period": given} if isinstance(given, str | int) else given


class Step(Strict):
    """One step: a trigger, at most one action, and what is remembered."""

    id: Identifier
    at: DurationUs | None = None
    after: str | None = None
    every: Annotated[Every, BeforeValidator(_every, json_schema_input_type=str | Every)] | None = None
    when: str | None = None
    timeout: DurationUs = 30_000_000
    heal: str | None = None
    for_: DurationUs | None = None
    as_: Identifier | None = None
    note: str = ""

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that are set, by their names in the language."""
        return tuple(name for name in ACTIONS if getattr(self, _attribute(name)) is not None)

    def argument(self, action: str) -> Any:
        """What an action is given."""
        return getattr(self, _attribute(action))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The options that are set, read."""
        given = {name: getattr(self, _attribute(name)) for name in OPTIONS}
        return {name: value for name, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _one_trigger_one_action(self) -> Step:
        if len(self.actions) > 1:
            raise ValueError(f"a step has one action, not {' and '.join(self.actions)}")
        self._check_trigger()
        if not self.actions and self.when is None and not self.note:
            raise ValueError(
                "a step needs an action (kill, partition, slow, ...: `fencepost faults --catalogue`), a when or a note"
            )
        self._check_options()
        return self

    def _check_trigger(self) -> None:
        if self.at is None and self.after is None and self.when is None and self.every is None:
            raise ValueError("a step needs a trigger: at, after, every or when")
        if self.at is not None and (self.after is not None or self.when is not None):
            raise ValueError("at stands alone; after and when may be combined")
        if self.every is not None and self.when is not None:
            raise ValueError("every goes with at or after, which say when it begins, not with when")

    def _check_options(self) -> None:
        verb = self.actions[0] if self.actions else ""
        kind = BY_VERB.get(verb)
        allowed = kind.options if kind is not None else ()
        for name in self.settings:
            if name not in allowed:
                whose = verb or "a step without an action"
                raise ValueError(f"{name} is no option of {whose}{did_you_mean(name, allowed)}")
        if kind is not None and kind.needs and not any(name in self.settings for name in kind.needs):
            raise ValueError(f"{verb} needs {' or '.join(kind.needs)}, such as in {kind.example}")
        if self.for_ is not None and (kind is None or not kind.is_lasting):
            raise ValueError(f"{verb or 'a step without an action'} has no undo that for: could bring about")
        if self.as_ is not None and (kind is None or kind.takes == "operation"):
            raise ValueError(f"as: remembers whom a fault meant, and {verb or 'a step without an action'} means nobody")
        for name in self.settings.get("operations", ()):
            if name not in OPERATIONS:
                raise ValueError(f"operations: unknown operation {name!r}{did_you_mean(name, OPERATIONS)}")


def _attribute(name: str) -> str:
    """Return the attribute that a key of the language has: `power_off` for `power-off`."""
    return name.replace("-", "_")


def _action_type(verb: str) -> Any:
    kind = BY_VERB[verb]
    if kind.takes == "sides":
        return dict[str, TextList]
    return _OPERATIONS[verb] if kind.takes == "operation" else str


def _fields() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in CATALOGUE:
        text = f"{kind.text}. Such as: {kind.example}" if kind.example else kind.text
        found[_attribute(kind.verb)] = (_action_type(kind.verb) | None, Field(None, description=text))
    for option in OPTIONS.values():
        found[_attribute(option.name)] = (OPTION_KINDS[option.kind] | None, Field(None, description=option.text))
    return found


if TYPE_CHECKING:
    FullStep = Step
else:
    FullStep = create_model("Step", __base__=Step, __doc__=Step.__doc__, **_fields())
