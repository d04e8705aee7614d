"""A history: what clients asked of a cluster and what they were told, one JSON object a line.

Here: the operations as facts, reading them from lines and writing them. Any client of any real cluster can write such
a file; docs/history.md says how. Not here: what is wrong with a history (`judge`), or how a scenario's trace becomes
one (`trace_history`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

Value = str | int
"""What a record holds: unique among the records of its key."""

INVOKE = "invoke"
OK = "ok"
FAIL = "fail"
UNKNOWN = "unknown"
SETTING = "setting"

_OUTCOMES = {OK: OK, FAIL: FAIL, UNKNOWN: UNKNOWN, "info": UNKNOWN}
"""How an operation may end; Jepsen says `info` where we say `unknown`."""

_OPERATIONS = ("send", "poll", "txn", "assign", "subscribe")

_FIELDS = dict.fromkeys(("time_us", "process", "type", "operation", "id", "send", "poll", "rebalanced", "final")).keys()


class HistoryError(ValueError):
    """A line is not what the format asks for. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(slots=True)
class Operation:
    """One operation from its invocation to its end. Times are microseconds on one clock.

    `sends` are (key, value, offset), the offset -1 when the client was not told one. `polls` are (key, records), each
    record (offset, value), in the order in which the consumer was given them. A key is a partition, such as
    `orders-0`. `number` orders operations by invocation. `final` marks the reading back when all is over.

    `record_keys` are the records' own keys, parallel to `sends`, or nothing; `tombstones` are those of the values that
    only name a record: it has no value in the log.
    """

    number: int
    process: str
    name: str
    outcome: str
    invoked_us: int
    ended_us: int
    sends: tuple[tuple[str, Value, int], ...] = ()
    polls: tuple[tuple[str, tuple[tuple[int, Value], ...]], ...] = ()
    rebalanced: tuple[str, ...] = ()
    final: bool = False
    is_open: bool = False
    record_keys: tuple[str | None, ...] = ()
    tombstones: tuple[Value, ...] = ()


class HistoryReader:
    """Pairs every invocation with its end. Feed it lines in order, then ask for what never ended.

    `setting` holds the last line of type `setting`, when there was one: what the cluster and the clients were
    configured with (`cluster.checks.contract` reads it).
    """

    def __init__(self) -> None:
        self.setting: dict[str, Any] | None = None
        self.line = 0
        self._open: dict[tuple[str, object], Operation] = {}
        self._number = 0

    def read(self, lines: Iterable[str]) -> Iterator[Operation]:
        """Yield each operation when it ends; those without an end come last, as unknown. Raises HistoryError."""
        for line in lines:
            self.line += 1
            if line.isspace() or not line:
                continue
            ended = self._take(line)
            if ended is not None:
                yield ended
        for left in self._open.values():
            left.is_open = True
            yield left
        self._open.clear()

    def _take(self, line: str) -> Operation | None:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise self._wrong(f"is not JSON: {error}") from None
        except RecursionError:
            raise self._wrong("is not a history: it is nested too deeply") from None
        if not isinstance(row, dict):
            raise self._wrong("must be an object, such as {...}")
        kind = row.get("type")
        if kind == SETTING:
            if self.setting is not None:
                raise self._wrong("there is a setting already: one line has all of it")
            self.setting = row
            return None
        if not row.keys() <= _FIELDS:
            self._check_fields(row)
        process = self._process(row)
        key = (process, row.get("id"))
        if kind == INVOKE:
            self._begin(row, key, process)
            return None
        if kind not in _OUTCOMES:
            raise self._wrong(f"'type' must be invoke, ok, fail, unknown or setting, not {kind!r}")
        operation = self._open.pop(key, None)
        if operation is None:
            raise self._wrong(f"{_who(key)} ends an operation that it did not begin")
        if row.get("operation", operation.name) != operation.name:
            raise self._wrong(f"{_who(key)} began {operation.name!r} and ends {row['operation']!r}")
        operation.outcome = _OUTCOMES[kind]
        operation.ended_us = self._time(row)
        if "send" in row:
            operation.sends = self._sent(operation, self._sends(row["send"]))
        if "poll" in row:
            operation.polls = self._polls(row["poll"])
        operation.final = self._final(row) or operation.final
        if "rebalanced" in row:
            operation.rebalanced = self._keys(row["rebalanced"])
        return operation

    def _begin(self, row: dict[str, Any], key: tuple[str, object], process: str) -> None:
        name = row.get("operation")
        if name not in _OPERATIONS:
            raise self._wrong(f"'operation' must be one of {', '.join(_OPERATIONS)}, not {name!r}")
        if key in self._open:
            raise self._wrong(f"{_who(key)} begins an operation before its last one ended; give each an 'id'")
        time_us = self._time(row)
        sends = self._sends(row["send"]) if "send" in row else ()
        if name == "send" and not sends:
            raise self._wrong('a send needs "send": [[key, value]]')
        final = self._final(row)
        self._number += 1
        begun = self._open[key] = Operation(self._number, process, name, UNKNOWN, time_us, time_us, sends, final=final)
        if "record_keys" in row:
            begun.record_keys = self._record_keys(row["record_keys"], len(sends))
        if "tombstones" in row:
            begun.tombstones = self._tombstones(row["tombstones"])

    # --- fields ------------------------------------------------------------------------------------

    def _check_fields(self, row: dict[str, Any]) -> None:
        """Refuse what looks like a slip of the pen: it would count for nothing. Fields of other tools may be there."""
        for name in [name for name in row if name not in _FIELDS]:
            near = get_close_matches(name, _FIELDS, n=1, cutoff=0.75)
            if near:
                raise self._wrong(f"unknown field {name!r}; did you mean {near[0]}?")

    def _final(self, row: dict[str, Any]) -> bool:
        final = row.get("final", False)
        if isinstance(final, bool):
            return final
        raise self._wrong(f"'final' must be true or false, not {final!r}")

    def _sent(
        self, operation: Operation, sends: tuple[tuple[str, Value, int], ...]
    ) -> tuple[tuple[str, Value, int], ...]:
        """Return what was sent in the end, which must be what was begun with, when that was told."""
        if operation.sends:
            begun = [(key, value) for key, value, _ in operation.sends]
            for key, value, _ in sends:
                if (key, value) not in begun:
                    raise self._wrong(f"{operation.process} did not begin to send {value!r} to {key}")
        return sends

    def _process(self, row: dict[str, Any]) -> str:
        process = row.get("process")
        if isinstance(process, str):
            return process
        if isinstance(process, int) and not isinstance(process, bool):
            return str(process)
        raise self._wrong(f"'process' must name the client, not {process!r}")

    def _time(self, row: dict[str, Any]) -> int:
        time_us = row.get("time_us")
        if type(time_us) is int:
            return time_us
        raise self._wrong(f"'time_us' must be a whole number of microseconds, not {time_us!r}")

    def _sends(self, given: object) -> tuple[tuple[str, Value, int], ...]:
        if not isinstance(given, list):
            raise self._wrong("'send' must be a list of [key, value] or [key, value, offset]")
        return tuple([self._send(one) for one in given])

    def _send(self, one: object) -> tuple[str, Value, int]:
        match one:
            case [str(key), str() | int() as value]:
                return key, value, -1
            case [str(key), str() | int() as value, None]:
                return key, value, -1
            case [str(key), str() | int() as value, int(offset)]:
                return key, value, offset
        raise self._wrong(f"a send is [key, value] or [key, value, offset], not {json.dumps(one)}")

    def _polls(self, given: object) -> tuple[tuple[str, tuple[tuple[int, Value], ...]], ...]:
        if not isinstance(given, dict):
            raise self._wrong("'poll' must be an object: {key: [[offset, value], ...]}")
        return tuple([(key, self._records(key, records)) for key, records in given.items()])

    def _records(self, key: str, given: object) -> tuple[tuple[int, Value], ...]:
        if not isinstance(given, list):
            raise self._wrong(f"what {key} gave must be a list of [offset, value]")
        return tuple([self._record(key, one) for one in given])

    def _record(self, key: str, one: object) -> tuple[int, Value]:
        match one:
            case [int(offset), str() | int() as value] if offset >= 0:
                return offset, value
        raise self._wrong(f"a record of {key} is [offset, value], not {json.dumps(one)}")

    def _record_keys(self, given: object, count: int) -> tuple[str | None, ...]:
        if (
            isinstance(given, list)
            and len(given) == count
            and all(one is None or isinstance(one, str) for one in given)
        ):
            return tuple(given)
        raise self._wrong("'record_keys' must be a list with a key, or null, for each record of 'send'")

    def _tombstones(self, given: object) -> tuple[Value, ...]:
        if isinstance(given, list) and all(type(one) in (str, int) for one in given):
            return tuple(given)
        raise self._wrong("'tombstones' must be a list of values")

    def _keys(self, given: object) -> tuple[str, ...]:
        if isinstance(given, list) and all(isinstance(one, str) for one in given):
            return tuple(given)
        raise self._wrong("'rebalanced' must be a list of keys")

    def _wrong(self, problem: str) -> HistoryError:
        return HistoryError(self.line, problem)


def _who(key: tuple[str, object]) -> str:
    process, identity = key
    return process if identity is None else f"{process} (id {identity})"


def to_lines(operations: Iterable[Operation]) -> Iterator[str]:
    """Write operations as lines that `HistoryReader` reads back: all events in the order of their times."""
    events: list[tuple[int, int, int, dict[str, Any]]] = []
    for operation in operations:
        begun: dict[str, Any] = {
            "time_us": operation.invoked_us,
            "process": operation.process,
            "type": INVOKE,
            "operation": operation.name,
            "id": operation.number,
        }
        if operation.sends:
            begun["send"] = [[key, value] for key, value, _ in operation.sends]
        if operation.record_keys:
            begun["record_keys"] = list(operation.record_keys)
        if operation.tombstones:
            begun["tombstones"] = list(operation.tombstones)
        if operation.final:
            begun["final"] = True
        events.append((operation.invoked_us, 0, operation.number, begun))
        if not operation.is_open:
            events.append((operation.ended_us, 1, operation.number, _ended(operation)))
    events.sort(key=lambda event: event[:3])
    for _, _, _, row in events:
        yield json.dumps(row)


def _ended(operation: Operation) -> dict[str, Any]:
    row: dict[str, Any] = {
        "time_us": operation.ended_us,
        "process": operation.process,
        "type": operation.outcome,
        "id": operation.number,
    }
    if operation.sends:
        row["send"] = [[key, value] if offset < 0 else [key, value, offset] for key, value, offset in operation.sends]
    if operation.polls:
        row["poll"] = {key: [[offset, value] for offset, value in records] for key, records in operation.polls}
    if operation.rebalanced:
        row["rebalanced"] = list(operation.rebalanced)
    return row
