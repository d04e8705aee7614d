"""What every task is waiting for, as text: the answer to "where does it hang?".

Here: walking from a task through its coroutines to the future it awaits. Nothing here runs or changes a task.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

CHAIN_LENGTH_MAX = 40
"""Awaits of one task that are printed."""


class PlacedTask(Protocol):
    """A task that says where it runs and how many things were numbered before it."""

    number: int

    @property
    def place(self) -> str:
        """The machine and whether it lives."""

    def get_name(self) -> str:
        """As asyncio's tasks."""

    def get_coro(self) -> Any:
        """As asyncio's tasks."""


def describe_tasks(tasks: Iterable[PlacedTask]) -> str:
    """Return a line for each unfinished task, grouped by machine, in the order of their creation."""
    by_machine: dict[str, list[str]] = {}
    for task in sorted(tasks, key=lambda task: task.number):
        by_machine.setdefault(task.place, []).append(f"  {task.get_name()}: {describe_chain(task.get_coro())}")
    return "\n".join(line for place in sorted(by_machine) for line in [f"{place}:", *by_machine[place]])


def describe_chain(awaited: Any) -> str:
    """Return `file:line function > file:line function > what the innermost one awaits`."""
    parts: list[str] = []
    while awaited is not None and len(parts) < CHAIN_LENGTH_MAX:
        frame, inner = _frame_and_inner(awaited)
        if frame is None:
            name = type(awaited).__name__
            parts.append("a future" if name == "FutureIter" else name)
            break
        code = frame.f_code
        parts.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{frame.f_lineno} {code.co_qualname}")
        awaited = inner
    return " > ".join(parts) if parts else "not begun"


def _frame_and_inner(awaited: Any) -> tuple[Any, Any]:
    for prefix in ("cr", "ag", "gi"):  # coroutine, asynchronous generator, generator
        frame = getattr(awaited, f"{prefix}_frame", None)
        if frame is not None:
            inner = getattr(awaited, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await", None)
            return frame, inner
    return None, None
