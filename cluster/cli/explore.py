"""`fencepost explore`: many seeds, each with a fault schedule of its own, on all cores of this machine.

Exit codes: 0 all held, 1 something broke, 2 a bad scenario, 3 a run was inconclusive.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.run import complain, load, quiet_clients

if TYPE_CHECKING:
    from cluster.scenario import Document

SEEDS_PER_WORKER = 50
"""A worker is replaced after so many runs, so that what a library leaks does not add up."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What one seed gave. `text` is the report for people, empty when all held."""

    seed: int
    verdict: str
    text: str
    virtual_s: float
    wall_s: float
    trace_hash: str | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explore")(explore)


def explore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scenario: its cluster and its clients are used.")],
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to try.")] = 100,
    first: Annotated[int, typer.Option(help="The first of them.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Replay one seed and show its schedule.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change one value; slashes in the path.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; as many as there are cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line, for every seed.")] = False,
) -> None:
    """Break a scenario's cluster at random and check what its configuration promises."""
    from cluster.runtime.sim import ensure_reproducible
    from cluster.scenario import ScenarioError, explored, with_override

    ensure_reproducible()
    try:
        document = load(file)
        for assignment in override or ():
            document = with_override(document, assignment)
        explored(document, first)  # so that a bad scenario is told once, not by every worker
    except ScenarioError as error:
        complain(file, error.problems)
    command = ["fencepost", "explore", str(file)]
    for assignment in override or ():
        command += ["--set", assignment]
    if seed is not None:
        raise typer.Exit(_replay(command, document, seed, as_json=as_json))
    wanted = range(first, first + seeds)
    raise typer.Exit(_explore(command, document, wanted, jobs or os.cpu_count() or 1, as_json=as_json))


def _replay(command: Sequence[str], document: Document, seed: int, *, as_json: bool) -> int:
    from cluster.scenario import explored

    if not as_json:
        for step in explored(document, seed).scenario.steps:
            shown = step.model_dump(by_alias=True, exclude_defaults=True, mode="json")
            typer.echo(f"  {shown}", err=True)
    result = try_seed(command, document, seed, always_tell=True)
    print(json.dumps(_row(result)) if as_json else result.text)
    return _exit_code([result.verdict])


def _explore(command: Sequence[str], document: Document, seeds: range, jobs: int, *, as_json: bool) -> int:
    began_s = time.perf_counter()
    verdicts: list[str] = []
    virtual_s = 0.0
    for result in _results(command, document, seeds, jobs):
        verdicts.append(result.verdict)
        virtual_s += result.virtual_s
        if as_json:
            print(json.dumps(_row(result)), flush=True)
        elif result.verdict != "as-expected":
            _clear_progress()
            print(result.text, flush=True)
        failed = sum(verdict != "as-expected" for verdict in verdicts)
        speed = virtual_s / (time.perf_counter() - began_s)
        _progress(f"{len(verdicts)}/{len(seeds)} seeds · {failed} failed · {speed:.0f} virtual s per s", len(verdicts))
    _clear_progress()
    failed = sum(verdict != "as-expected" for verdict in verdicts)
    typer.echo(f"{len(verdicts)} seeds, {failed} failed, in {time.perf_counter() - began_s:.0f} s", err=as_json)
    return _exit_code(verdicts)


def _results(command: Sequence[str], document: Document, seeds: range, jobs: int) -> Iterator[Explored]:
    """Yield results as they come; only as many seeds are handed out as there are workers, to stop at once."""
    waiting = iter(seeds)
    context = get_context("spawn")  # spawned workers inherit the pinned hash seed and nothing else
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=SEEDS_PER_WORKER) as pool:
        running: dict[Future[Explored], int] = {}
        try:
            while True:
                while len(running) < 2 * jobs and (seed := next(waiting, None)) is not None:
                    running[pool.submit(try_seed, command, document, seed)] = seed
                if not running:
                    return
                wait(running, return_when=FIRST_COMPLETED)
                for future in [future for future in running if future.done()]:
                    del running[future]
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def try_seed(command: Sequence[str], document: Document, seed: int, *, always_tell: bool = False) -> Explored:
    """Run one seed; what the simulation itself raises (a dead node, a deadlock) is a finding like any other."""
    from cluster.lab import LabError
    from cluster.report import terminal_text
    from cluster.runtime.sim import SimulationError
    from cluster.scenario import explored, run_in_simulation

    quiet_clients()
    replay = shlex.join([*command, "--seed", str(seed)])
    began_s = time.perf_counter()
    try:
        result = run_in_simulation(explored(document, seed), seed, replay).result
    except (SimulationError, AssertionError, LabError) as error:
        wall_s = time.perf_counter() - began_s
        text = f"CRASHED  seed {seed}  {type(error).__name__}: {error}\n  replay: {replay}"
        return Explored(seed, "crashed", text, 0.0, wall_s, None)
    text = terminal_text(result) if always_tell or result.verdict != "as-expected" else ""
    return Explored(seed, result.verdict, text, result.virtual_s, result.wall_s, result.trace_hash)


def _exit_code(verdicts: list[str]) -> int:
    if any(verdict in ("different", "crashed") for verdict in verdicts):
        return 1
    return 3 if "inconclusive" in verdicts else 0


def _row(result: Explored) -> dict[str, Any]:
    return {
        "seed": result.seed,
        "verdict": result.verdict,
        "virtual_s": result.virtual_s,
        "wall_s": round(result.wall_s, 3),
        "trace_hash": result.trace_hash,
        "text": result.text,
    }


def _progress(text: str, done: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
    elif done % 25 == 0:
        sys.stderr.write(f"{text}\n")


def _clear_progress() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
