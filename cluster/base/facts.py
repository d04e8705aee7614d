"""Facts that come with every record: frozen for the type checker, without the price of that at run time.

Here: one decorator. A frozen dataclass sets each of its fields through `object.__setattr__`, which takes four times
as long as setting it; on the way of every record and of every trace event that shows.
"""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from typing import Any, TypeVar

_T = TypeVar("_T", bound=type[Any])


def unguarded(fact: _T) -> _T:
    """Take the guard against assignment from a frozen, slotted dataclass; mypy still refuses what it refused.

    Equality, hash and subclasses stay as they are. For the few classes that are built for every record.
    """
    assert not hasattr(fact, "__post_init__"), "only the plain constructor is replaced"
    unfrozen = make_dataclass(fact.__name__, [(field.name, field.type, field) for field in fields(fact)])
    for name, method in (
        ("__init__", unfrozen.__dict__["__init__"]),
        ("__setattr__", object.__setattr__),
        ("__delattr__", object.__delattr__),
    ):
        setattr(fact, name, method)
    return fact
