"""The scenario language as data: every key, its type, and what it means.

Here: pydantic models of one scenario, and the JSON Schema for editors. Not here: steps (`steps`), what the models'
complaints are in words (`complaints`), whether names that a scenario uses exist (`planner`), or how YAML is read and
patched (`document`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from cluster.lab.selectors import did_you_mean
from cluster.scenario.complaints import problems_of
from cluster.scenario.document import Document
from cluster.scenario.errors import ScenarioError
from cluster.scenario.keys import (
    ConfigText,
    DurationUs,
    Flag,
    Identifier,
    PerSecond,
    Share,
    Strict,
    TextList,
    VerdictWord,
)
from cluster.scenario.steps import FullStep


class Production(Strict):
    """Where the same thing shows in production: which metric, which config."""

    metric: str = ""
    config: str = ""


class Lesson(Strict):
    """What a scenario teaches: a question to answer before it runs, what to look at, and where to read on."""

    teaches: str
    predict: str = ""
    choices: TextList = Field(default_factory=list)
    answer: str = ""
    observe: TextList = Field(default_factory=list)
    explains: str = ""
    in_production: Production = Field(default_factory=Production)
    read: TextList = Field(default_factory=list)

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> Lesson:
        if self.choices and self.answer not in self.choices:
            raise ValueError(
                f"the answer {self.answer!r} is not one of the choices{did_you_mean(self.answer, self.choices)}"
            )
        if self.choices and not self.predict:
            raise ValueError("choices need a question: predict")
        return self


class Broker(Strict):
    """One broker by name. One that `joins-later` is not there until a step adds it (add-broker)."""

    id: Identifier
    rack: str = ""
    joins_later: Flag = False


def _brokers(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, int | list):
        raise ValueError(f"write how many, such as 3, or a list, such as [{{id: b1, rack: a}}], not {given!r}")
    return given


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

    brokers: Annotated[int | list[Broker], BeforeValidator(_brokers, json_schema_input_type=int | list[Broker])] = 3
    controllers: int = 3
    combined: Flag = False
    profile: Literal["kafka", "fast"] = "kafka"
    config: dict[str, ConfigText] = Field(default_factory=dict)
    features: dict[str, int] = Field(default_factory=dict)
    legacy: dict[str, ConfigText] = Field(default_factory=dict)
    storage: Storage = Field(default_factory=Storage)
    network: Network = Field(default_factory=Network)
    topics: dict[str, Topic] = Field(default_factory=dict)


class Client(Strict):
    """A workload: a producer or a consumer of one topic, or one that copies it `to` another in transactions.

    A consumer with a `group` works on each record for so long (`work`), commits `before` or `after` it has worked on
    what a poll gave it, and dies after its `lifetime`, in the middle of whatever it does; another takes its place.

    A producer with a `transactional-id` writes in transactions that are open for so long (`transaction`), and ends when
    it is fenced. Any client may begin later than the run: `starts`.

    A producer's records have no keys unless it has `keys`, so many: each record overwrites one of them, some often and
    some rarely, and a share of the records are `tombstones`, without a value.
    """

    produce: str | None = None
    consume: str | None = None
    transact: str | None = None
    to: str | None = None
    rate: PerSecond = 50.0
    acks: Literal[0, 1, "all"] = "all"
    partition: int | None = Field(None, ge=0)
    group: str | None = None
    work: DurationUs = 0
    commit: Literal["before", "after"] = "after"
    lifetime: DurationUs | None = None
    transactional_id: str | None = None
    transaction: DurationUs | None = None
    keys: int | None = Field(default=None, ge=1)
    tombstones: Share = 0.0
    starts: DurationUs = 0
    config: dict[str, ConfigText] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_job(self) -> Client:
        if sum(job is not None for job in (self.produce, self.consume, self.transact)) != 1:
            raise ValueError("a client has one job: produce, consume or transact")
        if (self.transact is None) != (self.to is None):
            raise ValueError("transact: TOPIC and to: TOPIC belong together")
        for key in ("group", "work", "commit", "lifetime"):
            if key in self.model_fields_set and (self.consume is None or self.group is None):
                raise ValueError(f"{key} is for a consumer in a group: consume: TOPIC, group: NAME")
        if (self.transactional_id is None) != (self.transaction is None):
            raise ValueError("transactional-id and transaction, how long each is open, belong together")
        if self.transactional_id is not None and self.produce is None:
            raise ValueError("transactional-id is for a producer: produce: TOPIC")
        if self.keys is not None and (self.produce is None or self.transactional_id is not None):
            raise ValueError("keys is for a producer without transactions: produce: TOPIC")
        if self.tombstones and self.keys is None:
            raise ValueError("a tombstone is the end of a key: tombstones needs keys, how many there are")
        if self.group is not None and self.partition is not None:
            raise ValueError("a group gives its members their partitions: leave partition out")
        return self

    @property
    def topic(self) -> str:
        """The topic that it works on."""
        topic = self.produce or self.consume or self.transact
        assert topic is not None
        return topic


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


class Found(Strict):
    """How exploring found a scenario to fail: by these checks, or by an error that ended the run.

    `trace_hash` is that of the run; it repeats as long as nothing of Fencepost changes.
    """

    checks: TextList = Field(default_factory=list)
    error: str = ""
    trace_hash: str = ""


class Scenario(Strict):
    """One cluster, some clients, one fault schedule and what must be seen."""

    lab: Literal["v1"]
    name: Identifier
    lesson: Lesson | None = None
    found: Found | None = None
    only: list[Literal["sim", "local"]] = Field(default_factory=list)
    seed: int = 1
    duration: DurationUs = 60_000_000
    cluster: Cluster = Field(default_factory=Cluster)
    clients: dict[str, Client] = Field(default_factory=dict)
    steps: list[FullStep] = Field(default_factory=list)
    expect: list[Check] = Field(default_factory=list)
    variants: dict[str, Variant] = Field(default_factory=dict)

    @field_validator("duration")
    @classmethod
    def _time_passes(cls, duration_us: int) -> int:
        if duration_us == 0:
            raise ValueError("0s leave no time for anything: write how long things are broken, such as 60s")
        return duration_us


def check_schema(document: Document) -> Scenario:
    """Return the scenario that a document describes. Raises ScenarioError with all that is wrong with its keys."""
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        raise ScenarioError(problems_of(document, error)) from None


def json_schema() -> Document:
    """Return the language as a JSON Schema, for editors."""
    schema: Document = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
