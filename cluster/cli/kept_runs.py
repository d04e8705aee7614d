"""The folder that a command keeps its runs in: the one that was asked for, or a new one under `runs/`.

Here: choosing it, and what happens when it cannot be written. Not here: what is in it (`cluster.scenario.RunFolder`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cluster.scenario import Plan, Run, RunFolder


class KeptRuns:
    """The runs of one command. A folder that nobody asked for may fail to be written: that is said, no more."""

    def __init__(self, folder: RunFolder, *, is_asked_for: bool) -> None:
        self._folder = folder
        self._is_asked_for = is_asked_for
        self._is_broken = False

    @classmethod
    def of(cls, directory: Path | None, plan: Plan, seed: int, *, has_variants: bool) -> KeptRuns:
        """Choose the folder of a command that begins with this plan.

        Raises OSError when one that was asked for cannot be made: that is better known before a run than after it.
        """
        from cluster.scenario import RunFolder

        stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        place = directory or Path("runs", plan.scenario.name, stamp)
        return cls(RunFolder(place, has_variants=has_variants), is_asked_for=directory is not None)

    def add(self, plan: Plan, done: Run) -> None:
        """Keep one run. Raises OSError when the folder that was asked for cannot be written."""
        self._try(lambda: self._folder.add(plan, done))

    def finish(self) -> None:
        """Write the report, and say where. Raises OSError as `add` does."""
        self._try(self._folder.finish)
        if not self._is_broken and self._folder.report.exists():
            typer.echo(f"report: {self._folder.report}", err=True)

    def _try(self, write: Callable[[], None]) -> None:
        if self._is_broken:
            return
        try:
            write()
        except OSError as error:
            if self._is_asked_for:
                raise
            self._is_broken = True
            what = f"{error.strerror}: {error.filename}"
            typer.echo(f"The run is not kept: {what}. Choose a place with --report.", err=True)
