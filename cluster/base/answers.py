"""What a coordinator writes and answers, whatever it coordinates.

Here: the two nouns that all decisions have in common. Not here: the decisions (`cluster.groups`,
`cluster.transactions`, `cluster.sharing`), and whoever carries them out (`cluster.broker.coordinator`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LogRecord = tuple[bytes, bytes | None]
"""A key and its value, or None for a tombstone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the request that came with `token`."""

    token: int
    reply: Any
