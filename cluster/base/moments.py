"""When something is decided: what every coordinator is told of the time."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """When something is decided, in milliseconds: on a clock that never goes back, and since 1970."""

    monotonic_ms: int
    wall_ms: int
