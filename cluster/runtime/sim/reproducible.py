"""Getting an interpreter in which runs repeat: Python's string hashes are random unless pinned before it starts.

Here: the re-execution, for programs, and the environment, for whoever starts interpreters.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

HASH_SEED = "0"


def is_reproducible() -> bool:
    """Whether this interpreter's hashes are the ones every run uses."""
    return sys.flags.hash_randomization == 0 and os.environ.get("PYTHONHASHSEED") == HASH_SEED


def reproducible_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which to start an interpreter for simulations."""
    return {**environment, "PYTHONHASHSEED": HASH_SEED}


def ensure_reproducible() -> None:
    """Replace this process by the same command with pinned hashes, unless they are pinned already.

    Works for a console script and for `python -m`. Call it before any output and before threads start.
    Raises RuntimeError when the interpreter was told to ignore its environment.
    """
    if is_reproducible():
        return
    if sys.flags.ignore_environment:
        raise RuntimeError("simulations do not repeat under python -E or -I: start it without them")
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, reproducible_environment(os.environ))
