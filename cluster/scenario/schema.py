"""The scenario language as data: every key, its type, and what it means.

Here: pydantic models of one scenario and the translation of their complaints. Not here: whether names that a
scenario uses exist (`plan`), or how YAML is read and patched (`document`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cluster.lab.selectors import did_you_mean
from cluster.scenario.document import Document
from cluster.scenario.errors import ScenarioError
from cluster.scenario.quantities import parse_duration_us, parse_rate_per_second, parse_share


def _config_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    raise ValueError("write a word or a number")


def _text_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"write true or false, not {value!r}")
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
DurationUs = Annotated[int, BeforeValidator(parse_duration_us)]
PerSecond = Annotated[float, BeforeValidator(parse_rate_per_second)]
Share = Annotated[float, BeforeValidator(parse_share)]
ConfigText = Annotated[str, BeforeValidator(_config_text)]
TextList = Annotated[list[str], BeforeValidator(_text_list)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
VerdictWord = Literal["holds", "violated", "any"]


class Strict(BaseModel):
    """A mapping whose keys are all known: a typing error must not become a setting that does nothing."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_").replace("_", "-")
    )
    later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in given:
                if key in cls.later:
                    raise ValueError(f"{key!r} is not in this version of the language")
                if key not in known:
                    raise ValueError(f"unknown key {key!r}{did_you_mean(str(key), known)}")
        return given


class Lesson(Strict):
    """What a scenario teaches, what to guess before it runs, and where to read on."""

    teaches: str
    predict: str = ""
    read: TextList = Field(default_factory=list)


class Broker(Strict):
    """One broker by name."""

    id: Identifier
    rack: str = ""


class Storage(Strict):
    """`writeback`: how long the page cache keeps what nobody synced (Linux: 30 s)."""

    writeback: DurationUs = 30_000_000


class Network(Strict):
    """Every link's delay, in simulation."""

    latency: DurationUs = 200
    jitter: DurationUs = 100


class Topic(Strict):
    """A topic that exists before the clients come."""

    partitions: int = Field(1, ge=1)
    replication_factor: int = Field(1, ge=1)
    config: dict[str, ConfigText] = Field(default_factory=dict)


class Cluster(Strict):
    """The cluster: nodes, Kafka's own configs and features, topics."""

    later: ClassVar[tuple[str, ...]] = ("legacy",)
    brokers: int | list[Broker] = 3
    controllers: int = 3
    combined: Flag = False
    profile: Literal["kafka", "fast"] = "kafka"
    config: dict[str, ConfigText] = Field(default_factory=dict)
    features: dict[str, int] = Field(default_factory=dict)
    storage: Storage = Field(default_factory=Storage)
    network: Network = Field(default_factory=Network)
    topics: dict[str, Topic] = Field(default_factory=dict)


class Client(Strict):
    """A workload: a producer or a consumer of one topic."""

    later: ClassVar[tuple[str, ...]] = ("transact", "count")
    produce: str | None = None
    consume: str | None = None
    rate: PerSecond = 50.0
    acks: Literal[0, 1, "all"] = "all"
    partition: int | None = Field(None, ge=0)
    group: str | None = None
    config: dict[str, ConfigText] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_job(self) -> Client:
        if (self.produce is None) == (self.consume is None):
            raise ValueError("a client has one job: produce or consume")
        return self

    @property
    def topic(self) -> str:
        """The topic that it works on."""
        topic = self.produce or self.consume
        assert topic is not None
        return topic


NODE_ACTIONS = ("kill", "stop", "start", "restart", "pause", "resume", "power-off")
LINK_ACTIONS = ("partition", "isolate", "slow", "drop")
ACTIONS = (*NODE_ACTIONS, *LINK_ACTIONS, "heal")


class Step(Strict):
    """One step: a trigger, at most one action, and what is remembered."""

    later: ClassVar[tuple[str, ...]] = (
        "every", "clock", "disk", "fail", "elect", "reassign", "config", "produce",
        "duplicate", "reorder", "throttle",
    )  # fmt: skip
    id: Identifier
    at: DurationUs | None = None
    after: str | None = None
    when: str | None = None
    timeout: DurationUs = 30_000_000
    kill: str | None = None
    stop: str | None = None
    start: str | None = None
    restart: str | None = None
    pause: str | None = None
    resume: str | None = None
    power_off: str | None = None
    partition: dict[str, TextList] | None = None
    isolate: str | None = None
    slow: str | None = None
    drop: str | None = None
    heal: str | None = None
    apis: TextList = Field(default_factory=list)
    latency: DurationUs = 0
    jitter: DurationUs = 0
    rate: Share = 0.0
    direction: Literal["forward", "backward", "both"] = "forward"
    for_: DurationUs | None = None
    as_: Identifier | None = None
    note: str = ""

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that are set, by their names in the language."""
        return tuple(name for name in ACTIONS if getattr(self, name.replace("-", "_")) is not None)

    def argument(self, action: str) -> Any:
        """What an action is given."""
        return getattr(self, action.replace("-", "_"))

    @model_validator(mode="after")
    def _one_trigger_one_action(self) -> Step:
        if len(self.actions) > 1:
            raise ValueError(f"a step has one action, not {' and '.join(self.actions)}")
        if self.at is None and self.after is None and self.when is None:
            raise ValueError("a step needs a trigger: at, after or when")
        if self.at is not None and (self.after is not None or self.when is not None):
            raise ValueError("at stands alone; after and when may be combined")
        if not self.actions and self.when is None and not self.note:
            raise ValueError(f"a step needs an action ({', '.join(ACTIONS)}), a when or a note")
        if self.for_ is not None and self.actions and self.actions[0] in ("start", "restart", "resume", "heal"):
            raise ValueError(f"{self.actions[0]} has no undo that for: could bring about")
        if self.slow is not None and not (self.latency or self.jitter):
            raise ValueError("slow needs a latency or a jitter")
        if self.drop is not None and not self.rate:
            raise ValueError("drop needs a rate, such as rate: 20%")
        return self


CHECK_KINDS = ("always", "never", "sometimes", "eventually", "finally")


class Check(Strict):
    """One thing that must be seen: how often, in which stretch of time, and with which verdict."""

    id: Identifier
    always: str | None = None
    never: str | None = None
    sometimes: str | None = None
    eventually: str | None = None
    finally_: str | None = None
    within: DurationUs | None = None
    of: str | None = None
    between: tuple[str, str] | None = None
    verdict: VerdictWord = "holds"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are set."""
        return tuple(kind for kind in CHECK_KINDS if self.statement(kind) is not None)

    def statement(self, kind: str) -> str | None:
        """What is stated under a kind."""
        text: str | None = getattr(self, "finally_" if kind == "finally" else kind)
        return text

    @model_validator(mode="after")
    def _one_kind_one_scope(self) -> Check:
        if len(self.kinds) != 1:
            raise ValueError(f"a check has one of {', '.join(CHECK_KINDS)}")
        if (self.within is None) != (self.of is None):
            raise ValueError("within: DURATION and of: STEP belong together")
        if self.between is not None and self.within is not None:
            raise ValueError("a check has one scope: within/of or between")
        if self.finally_ is not None and (self.between or self.within):
            raise ValueError("finally is judged at the end and has no scope")
        return self


class Variant(Strict):
    """The same scenario with one thing changed, and the verdicts that change with it."""

    patch: dict[str, Any] = Field(default_factory=dict)
    verdicts: dict[str, VerdictWord] = Field(default_factory=dict)


class Scenario(Strict):
    """One cluster, some clients, one fault schedule and what must be seen."""

    lab: Literal["v1"]
    name: Identifier
    lesson: Lesson | None = None
    only: list[Literal["sim", "local"]] = Field(default_factory=list)
    seed: int = 1
    duration: DurationUs = 60_000_000
    cluster: Cluster = Field(default_factory=Cluster)
    clients: dict[str, Client] = Field(default_factory=dict)
    steps: list[Step] = Field(default_factory=list)
    expect: list[Check] = Field(default_factory=list)
    variants: dict[str, Variant] = Field(default_factory=dict)


def check_schema(document: Document) -> Scenario:
    """Return the scenario that a document describes. Raises ScenarioError with all that is wrong with its keys."""
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        problems = [f"{_where(document, problem['loc'])}: {_what(problem)}" for problem in error.errors()]
        raise ScenarioError(list(dict.fromkeys(problems))) from None


def _where(document: Any, location: tuple[int | str, ...]) -> str:
    """Write a place as `steps/crash/kill`: items of lists go by their id."""
    parts: list[str] = []
    at: Any = document
    for part in location:
        if isinstance(part, int) and isinstance(at, list) and part < len(at):
            at = at[part]
            parts.append(str(at.get("id", part)) if isinstance(at, dict) else str(part))
        elif isinstance(at, dict) and part in at:
            at = at[part]
            parts.append(str(part))
        # what is left are names of pydantic's own, such as the member of a union
    return "/".join(parts) or "scenario"


def _what(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{problem['loc'][-1]} is missing"
    if problem["type"] == "string_pattern_mismatch":
        return f"{problem['input']!r} must be in lower case, with dashes between words"
    return message
