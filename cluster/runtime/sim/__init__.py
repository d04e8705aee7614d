"""The simulated world: one process, virtual time, machines that die, one seed.

The face: `run_simulation` runs a coroutine in it; `Simulation` is what that coroutine works with.
"""

from cluster.runtime.sim.errors import (
    SimDeadlock,
    SimEscape,
    SimLivelock,
    SimProcessFailed,
    SimTimeExhausted,
    SimulationError,
)
from cluster.runtime.sim.machines import Machine, Process, ProcessState
from cluster.runtime.sim.network import Latency
from cluster.runtime.sim.reproducible import ensure_reproducible, is_reproducible, reproducible_environment
from cluster.runtime.sim.simulation import Simulation, SimulationResult, run_simulation
from cluster.runtime.sim.world import SimWorld

__all__ = [
    "Latency",
    "Machine",
    "Process",
    "ProcessState",
    "SimDeadlock",
    "SimEscape",
    "SimLivelock",
    "SimProcessFailed",
    "SimTimeExhausted",
    "SimWorld",
    "Simulation",
    "SimulationError",
    "SimulationResult",
    "ensure_reproducible",
    "is_reproducible",
    "reproducible_environment",
    "run_simulation",
]
