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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.run import complain, load, quiet_clients

if TYPE_CHECKING:
    from cluster.scenario import Document, Failure, Trial
    from cluster.scenario.trial_pool import TrialPool

SHRINKING_TRIES_MAX = 300
FOUND = Path("runs", "found")


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
    from cluster.scenario import ScenarioError, explored, make_plan, with_override

    if go_on and first is not None:
        raise typer.BadParameter("--first and --continue exclude each other.")
    ensure_reproducible()
    try:
        document = load(file)
        for assignment in override or ():
            document = with_override(document, assignment)
        make_plan(explored(document, 1))  # so that a bad scenario is told once, not by every worker
    except ScenarioError as error:
        complain(file, error.problems)
    command = ["fencepost", "explore", str(file)]
    for assignment in override or ():
        command += ["--set", assignment]
    if seed is not None:
        raise typer.Exit(_show_one(command, document, seed, as_json=as_json))
    progress = _Progress.of(document)
    begin = progress.next_seed if go_on else (1 if first is None else first)
    if go_on:
        typer.echo(f"continuing with seed {begin}", err=True)
    exploration = _Exploration(command, document, progress, as_json=as_json)
    raise typer.Exit(
        exploration.run(
            range(begin, begin + seeds), jobs or os.cpu_count() or 1, keep_going=keep_going, shrinking=shrinking
        )
    )


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
class _Exploration:
    """One command's seeds: what came out of them, and what was made of the failures."""

    command: Sequence[str]
    document: Document
    progress: _Progress
    as_json: bool
    verdicts: list[str] = field(default_factory=list)
    shrunk: list[Failure] = field(default_factory=list)

    def run(self, seeds: range, jobs: int, *, keep_going: bool, shrinking: bool) -> int:
        """Try the seeds and return the exit code."""
        from cluster.scenario.trial_pool import TrialPool

        began_s = time.perf_counter()
        virtual_s = 0.0
        with TrialPool(jobs) as pool:
            for trial in pool.tries(self._wanted(seeds)):
                self.verdicts.append(trial.verdict)
                self.progress.tried(trial.seed)
                virtual_s += trial.virtual_s
                self._tell(trial)
                if trial.failure is not None and trial.verdict != "inconclusive":
                    if shrinking:
                        self._shrink(pool, trial, trial.failure)
                    if not keep_going:
                        break
                _show(self._count(len(seeds), time.perf_counter() - began_s, virtual_s), len(self.verdicts))
        _clear()
        self.progress.keep()
        elapsed_s = time.perf_counter() - began_s
        typer.echo(f"{len(self.verdicts)} seeds, {self._failed()} failed, in {elapsed_s:.0f} s", err=self.as_json)
        return _exit_code(self.verdicts)

    def _wanted(self, seeds: range) -> Iterator[tuple[Document, int, str]]:
        from cluster.scenario import explored

        for seed in seeds:
            yield explored(self.document, seed), seed, _replay(self.command, seed)

    def _failed(self) -> int:
        return sum(verdict != "as-expected" for verdict in self.verdicts)

    def _count(self, wanted: int, elapsed_s: float, virtual_s: float) -> str:
        tried = len(self.verdicts)
        left_s = (wanted - tried) * elapsed_s / tried
        return (
            f"{tried}/{wanted} seeds · {self._failed()} failed · {tried / elapsed_s:.1f} seeds/s · "
            f"{virtual_s / elapsed_s:.0f} virtual s per s · {_duration(left_s)} left"
        )

    def _tell(self, trial: Trial) -> None:
        if self.as_json:
            print(json.dumps(_row(trial)), flush=True)
        elif trial.verdict != "as-expected":
            _clear()
            print(trial.text, flush=True)

    def _shrink(self, pool: TrialPool, trial: Trial, failure: Failure) -> None:
        """Shrink a failure of a kind that was not shrunk yet, and write the file."""
        from cluster.scenario import explored, found_text, shrink, try_document

        if any(failure.is_like(other) for other in self.shrunk):
            return
        self.shrunk.append(failure)
        _clear()
        typer.echo(f"shrinking seed {trial.seed} ({failure}) …", err=True)
        small = shrink(
            explored(self.document, trial.seed),
            lambda documents: pool.first_alike(documents, trial.seed, failure),
            tries_max=SHRINKING_TRIES_MAX,
            batch=pool.jobs,
        )
        path = FOUND / f"{small.document['name']}-{trial.seed}.yaml"
        quiet_clients()
        again = try_document(small.document, trial.seed, f"fencepost replay {path}")
        remark = f"Found by: {_replay(self.command, trial.seed)}\nShrunk in {small.tried} tries"
        remark += "." if small.is_minimal else ", when the patience for it ended."
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found_text(small.document, again, remark))
        steps = len(small.document.get("steps", ()))
        typer.echo(f"{remark.splitlines()[1]} {steps} steps are left: {path}", err=True)
        typer.echo(f"replay: fencepost replay {path}", err=True)


class _Progress:
    """Which seeds of a scenario were tried, over all commands in this directory: they are continued from there."""

    def __init__(self, path: Path, next_seed: int) -> None:
        self.next_seed = next_seed
        self._path = path
        self._tried: set[int] = set()

    @classmethod
    def of(cls, document: Document) -> _Progress:
        """Read the progress of a scenario, which begins anew when the scenario is another."""
        from hashlib import blake2b

        digest = blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=6).hexdigest()
        path = Path("runs", "explored", f"{document['name']}-{digest}")
        try:
            return cls(path, int(path.read_text()))
        except (FileNotFoundError, ValueError):
            return cls(path, 1)

    def tried(self, seed: int) -> None:
        """Note that a seed was tried."""
        self._tried.add(seed)
        while self.next_seed in self._tried:
            self._tried.remove(self.next_seed)
            self.next_seed += 1

    def keep(self) -> None:
        """Write it down."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(f"{self.next_seed}\n")


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
