"""What `fencepost up` starts before anything else is loaded: the process that loads the nodes' code."""

from __future__ import annotations

from cluster.runtime.live.zygote_start import StartedZygote, start_zygote

_started: list[StartedZygote] = []


def start() -> None:
    """Start it."""
    _started.append(start_zygote())


def take() -> StartedZygote | None:
    """Return what was started, once; it belongs to the caller."""
    return _started.pop() if _started else None
