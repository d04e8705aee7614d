"""`fencepost explore`: many seeds, each with a fault schedule of its own, on all cores of this machine.

A failure is shrunk to a small scenario file, which `fencepost replay` runs again.
Exit codes: 0 all held, 1 something broke, 2 a bad scenario, 3 a run was inconclusive.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.run import complain, load, quiet_clients

if TYPE_CHECKING:
    from cluster.scenario import Document, Exploration, Failure, Trial


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explore")(explore)


def explore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scenario: its cluster and its clients are used.")],
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to try.")] = 100,
    first: Annotated[int | None, typer.Option(min=0, help="The first of them; 1 when absent.")] = None,
    go_on: Annotated[
        bool, typer.Option("--continue", help="Begin with the first seed that was not tried before.")
    ] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Do not stop at the first failure.")] = False,
    shrinking: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="Make a small scenario file of what was found.")
    ] = True,
    seed: Annotated[int | None, typer.Option(help="Replay one seed and show its schedule.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change one value; slashes in the path.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; as many as there are cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line, for every seed.")] = False,
) -> None:
    """Break a scenario's cluster at random and check what its configuration promises."""
    from cluster.runtime.sim import ensure_reproducible
    from cluster.scenario import Exploration, ExploredSeeds, ScenarioError, explored, make_plan, with_override
    from cluster.scenario.trial_pool import TrialPool

    if go_on and first is not None:
        raise typer.BadParameter("--first and --continue exclude each other.")
    ensure_reproducible()
    try:
        document = load(file)
        for assignment in override or ():
            document = with_override(document, assignment)
        make_plan(explored(document, 1))  # so that a bad scenario is told once, not by every worker
    except ScenarioError as error:
        complain(file, error.problems, override or ())
    command = ["fencepost", "explore", str(file)]
    for assignment in override or ():
        command += ["--set", assignment]
    if seed is not None:
        raise typer.Exit(_show_one(command, document, seed, as_json=as_json))
    begin = ExploredSeeds(document).first_untried if go_on else (1 if first is None else first)
    if go_on:
        typer.echo(f"continuing with seed {begin}", err=True)
    quiet_clients()
    teller = _Teller(seeds, as_json)
    with TrialPool(jobs or os.cpu_count() or 1) as pool:
        exploration = Exploration(document, pool, lambda seed: _replay(command, seed))
        teller.explore(exploration, range(begin, begin + seeds), keep_going=keep_going, shrinking=shrinking)
    raise typer.Exit(_exit_code(teller.verdicts))


def _show_one(command: Sequence[str], document: Document, seed: int, *, as_json: bool) -> int:
    from cluster.scenario import explored, try_document

    quiet_clients()
    schedule = explored(document, seed)
    if not as_json:
        for step in schedule["steps"]:
            typer.echo(f"  {step}", err=True)
    trial = try_document(schedule, seed, _replay(command, seed))
    print(json.dumps(_row(trial)) if as_json else trial.text)
    return _exit_code([trial.verdict])


@dataclass
class _Teller:
    """Tells what comes out of an exploration, while it goes on."""

    wanted: int
    as_json: bool
    verdicts: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    began_s: float = field(default_factory=time.perf_counter)

    def explore(self, exploration: Exploration, seeds: range, *, keep_going: bool, shrinking: bool) -> None:
        """Try the seeds, to the first failure unless it shall keep going."""
        for trial in exploration.tries(seeds):
            self._tell(trial)
            if trial.failure is not None and trial.verdict != "inconclusive":
                if shrinking and not exploration.is_shrunk(trial.failure):
                    _shrink(exploration, trial, trial.failure)
                if not keep_going:
                    break
            _show(self._count(), len(self.verdicts))
        _clear()
        elapsed_s = time.perf_counter() - self.began_s
        typer.echo(f"{len(self.verdicts)} seeds, {self._failed()} failed, in {elapsed_s:.0f} s", err=self.as_json)

    def _failed(self) -> int:
        return sum(verdict != "as-expected" for verdict in self.verdicts)

    def _count(self) -> str:
        tried, elapsed_s = len(self.verdicts), time.perf_counter() - self.began_s
        left_s = (self.wanted - tried) * elapsed_s / tried
        return (
            f"{tried}/{self.wanted} seeds · {self._failed()} failed · {tried / elapsed_s:.1f} seeds/s · "
            f"{self.virtual_s / elapsed_s:.0f} virtual s per s · {_duration(left_s)} left"
        )

    def _tell(self, trial: Trial) -> None:
        self.verdicts.append(trial.verdict)
        self.virtual_s += trial.virtual_s
        if self.as_json:
            print(json.dumps(_row(trial)), flush=True)
        elif trial.verdict != "as-expected":
            _clear()
            print(trial.text, flush=True)


def _shrink(exploration: Exploration, trial: Trial, failure: Failure) -> None:
    _clear()
    typer.echo(f"shrinking seed {trial.seed} ({failure}) …", err=True)
    found = exploration.shrink(trial, failure)
    typer.echo(f"{found.shrinking} {found.steps} steps are left: {found.path}", err=True)
    typer.echo(f"replay: fencepost replay {found.path}", err=True)


def _replay(command: Sequence[str], seed: int) -> str:
    return shlex.join([*command, "--seed", str(seed)])


def _exit_code(verdicts: list[str]) -> int:
    if any(verdict in ("different", "crashed") for verdict in verdicts):
        return 1
    return 3 if "inconclusive" in verdicts else 0


def _row(trial: Trial) -> dict[str, Any]:
    return {
        "seed": trial.seed,
        "verdict": trial.verdict,
        "virtual_s": trial.virtual_s,
        "wall_s": round(trial.wall_s, 3),
        "trace_hash": trial.trace_hash,
        "text": "" if trial.failure is None else trial.text,
    }


def _duration(seconds: float) -> str:
    minutes, left_s = divmod(round(seconds), 60)
    return f"{minutes} min {left_s:02d} s" if minutes else f"{left_s} s"


def _show(text: str, done: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
    elif done % 25 == 0:
        sys.stderr.write(f"{text}\n")


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
