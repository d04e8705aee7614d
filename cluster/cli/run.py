"""`fencepost run`: one scenario to its verdict, with its variants, on a simulated or a real cluster.

Exit codes: 0 every verdict as expected, 1 one differs, 2 a bad scenario, 3 inconclusive, 4 could not start.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cluster.cli.kept_runs import KeptRuns
from cluster.lab.errors import USAGE

if TYPE_CHECKING:
    from cluster.scenario import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scenario.")],
    *,
    on: Annotated[Literal["sim", "local"], typer.Option(help="Simulation, or processes of this machine.")] = "sim",
    seed: Annotated[int | None, typer.Option(help="What chance is drawn from; the scenario's own when absent.")] = None,
    variant: Annotated[str | None, typer.Option(help="Run one variant.")] = None,
    all_variants: Annotated[bool, typer.Option("--all-variants", help="The scenario, then every variant.")] = False,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change one value; slashes in the path.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", file_okay=False, help="Keep the run here, not in runs/NAME/TIME-SEED.")
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Keep nothing of the run.")] = False,
) -> None:
    """Run a scenario: faults, then heal, then read everything back; exit 0 if all came out as expected."""
    from cluster.report import EXIT_CODES, terminal_text
    from cluster.runtime.sim import SimulationError
    from cluster.scenario import ScenarioError, make_all_plans, make_plan, run_in

    if no_report and report is not None:
        raise typer.BadParameter("--report and --no-report exclude each other.")
    prepare(on)
    overrides = tuple(override or ())
    try:
        document = load(file)
        if all_variants:
            plans: Sequence[Plan] = make_all_plans(document, overrides)
        else:
            plans = (make_plan(document, variant, overrides),)
        chosen = plans[0].scenario.seed if seed is None else seed
        kept = None if no_report else KeptRuns.of(report, plans[0], chosen, has_variants=len(plans) > 1)
        code = 0
        try:
            for plan in plans:
                chosen = plan.scenario.seed if seed is None else seed
                replay = replay_command(file, on, chosen, plan.variant, overrides)
                try:
                    done = run_in(on, plan, chosen, replay)
                except SimulationError:
                    typer.echo(f"CRASHED  {plan.scenario.name}  seed {chosen}\n  replay: {replay}", err=True)
                    raise
                print(json.dumps(done.result.to_json()) if as_json else terminal_text(done.result), flush=True)
                if kept is not None:
                    kept.add(plan, done)
                code = worse(code, EXIT_CODES[done.result.verdict])
        finally:
            if kept is not None:
                kept.finish()  # of what has run, though a later variant was interrupted or crashed
    except ScenarioError as error:
        complain(file, error.problems, overrides)
    raise typer.Exit(code)


def load(file: Path) -> dict[str, object]:
    """Read a scenario's document. Raises ScenarioError when there is none."""
    from cluster.scenario import ScenarioError, read_document

    try:
        return read_document(file.read_text())
    except OSError as error:
        raise ScenarioError([f"cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError:
        raise ScenarioError(["is not text; a scenario is written in YAML"]) from None


def complain(file: Path, problems: Sequence[str], overrides: Sequence[str] = ()) -> None:
    """Say what is wrong with a scenario and exit with the usage code."""
    tell(file, problems, overrides)
    raise typer.Exit(USAGE)


def tell(file: Path, problems: Sequence[str], overrides: Sequence[str] = ()) -> None:
    """Say what is wrong with a scenario, and on which line, unless something was overridden: it may be wrong there."""
    from cluster.scenario import line_of

    try:
        text = "" if overrides else file.read_text()
    except (OSError, UnicodeDecodeError):
        text = ""
    for problem in problems:
        line = line_of(text, problem)
        typer.echo(f"{file}: {problem}" if line is None else f"{file}:{line}: {problem}", err=True)


def quiet_clients() -> None:
    """Silence the logs of clients, and of nodes inside a simulation: lost connections are the point of the exercise."""
    import logging

    for name in ("aiokafka", "asyncio", "cluster"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = _tell_unless_interrupted


def _tell_unless_interrupted(unraisable: Any) -> None:
    """Say nothing of coroutines that Ctrl-C broke off in the middle of a simulation: they cannot end in order."""
    if str(unraisable.exc_value) != "coroutine ignored GeneratorExit":
        sys.__unraisablehook__(unraisable)


def prepare(on: str) -> None:
    """Do what must come before a run; for the simulation this may begin the process anew."""
    quiet_clients()
    if on == "sim":
        from cluster.runtime.sim import ensure_reproducible

        ensure_reproducible()


def replay_command(file: Path, on: str, seed: int, variant: str | None, overrides: Sequence[str]) -> str:
    """Return what to type for the same run again."""
    words = ["fencepost", "run", str(file), "--on", on, "--seed", str(seed)]
    words += [] if variant is None else ["--variant", variant]
    for override in overrides:
        words += ["--set", override]
    return shlex.join(words)


def worse(one: int, other: int) -> int:
    """A verdict that differs outweighs an inconclusive one, which outweighs none."""
    return max(one, other, key=lambda code: {0: 0, 3: 1, 1: 2}[code])
