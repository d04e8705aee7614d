"""How a simulation ends badly. Each error carries the await chain of every task, machine by machine.

Here: the errors. What a chain looks like is `await_chains`.
"""

from __future__ import annotations


class SimulationError(Exception):
    """The simulation itself cannot go on; the run has no result."""


class SimDeadlock(SimulationError):
    """Nothing is ready and no timer is set: time can not go on, and somebody is still waiting."""


class SimLivelock(SimulationError):
    """Too many steps at one instant: code spins without letting time pass."""


class SimTimeExhausted(SimulationError):
    """The run used up its budget of virtual time or of steps."""


class SimEscape(SimulationError):
    """Code reached for the real world: a socket, a thread, a sleep that blocks."""


class SimProcessFailed(SimulationError):
    """A process that the run depends on ended with an exception; it is the `__cause__`."""
