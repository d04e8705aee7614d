"""Histories for tests, written as short as can be: who did what, in order, one microsecond after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cluster.checks.history import HistoryReader, Operation

Row = dict[str, Any]


def send(process: str, value: str, offset: int | None, key: str = "k-0", how: str = "ok", **more: object) -> list[Row]:
    """A send and its end; without an offset the client was told none. `more` is told in the beginning."""
    told: list[object] = [key, value] if offset is None else [key, value, offset]
    return [
        {"process": process, "type": "invoke", "operation": "send", "send": [[key, value]], **more},
        {"process": process, "type": how, "send": [told]},
    ]


def poll(process: str, *records: tuple[int, str], key: str = "k-0", final: bool = False, **more: Any) -> list[Row]:
    """A poll that gave these records."""
    return [
        {"process": process, "type": "invoke", "operation": "poll"},
        {"process": process, "type": "ok", "poll": {key: records}, "final": final, **more},
    ]


def place(process: str, how: str = "assign") -> list[Row]:
    """A consumer is given partitions."""
    return [
        {"process": process, "type": "invoke", "operation": how},
        {"process": process, "type": "ok", "operation": how},
    ]


def txn(
    process: str, sends: list[tuple[str, str, int]], polls: dict[str, list[tuple[int, str]]], how: str = "ok"
) -> list[Row]:
    """A transaction that sent and polled."""
    return [
        {"process": process, "type": "invoke", "operation": "txn", "send": [one[:2] for one in sends]},
        {"process": process, "type": how, "send": sends, "poll": polls},
    ]


def lines_of(rows: Iterable[Row]) -> list[str]:
    """The lines of a history, with times."""
    return [json.dumps({"time_us": number, **row}) for number, row in enumerate(rows)]


def operations_of(*parts: list[Row]) -> list[Operation]:
    """The operations of a history."""
    return list(HistoryReader().read(lines_of(row for part in parts for row in part)))
