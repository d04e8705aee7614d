"""What every trace event is: a named fact, stamped with when and where, and its JSON form.

Here: the base and the stamp. Not here: what can happen (`trace`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from cluster.base.facts import unguarded

_REGISTRY: dict[str, type[TraceEvent]] = {}


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """The base of every event; `kind` is its name in JSON, derived from the class."""

    kind: ClassVar[str] = "TraceEvent"

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__
        _REGISTRY[cls.__name__] = cls


@unguarded
@dataclass(frozen=True, slots=True)
class Traced:
    """One event with its stamp: when (microseconds on the run's clock) and on which node (`b1`, `c1`, `p1`, `lab`)."""

    time_us: int
    node: str
    event: TraceEvent

    def to_json(self) -> dict[str, Any]:
        """Return the flat form that `events.jsonl` holds."""
        return {"t": self.time_us, "node": self.node, "kind": self.event.kind, **asdict(self.event)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Traced:
        """Read the flat form back. Raises KeyError for an unknown kind or a missing field."""
        kind = _REGISTRY[row["kind"]]
        values = {field.name: _frozen(row[field.name]) for field in fields(kind)}
        return cls(row["t"], row["node"], kind(**values))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
