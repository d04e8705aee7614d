"""`fencepost replay`: run again what a file or a folder recorded, and say whether the same came out.

Exit codes: 0 the same failure, or the same trace; 1 another outcome; 2 nothing that could be replayed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli.run import complain, load, quiet_clients

if TYPE_CHECKING:
    from cluster.scenario import Document, Failure, Trial


_NEEDED = {"target", "seed", "trace_hash", "verdict", "checks"}
"""What a result must have to be compared with another run's."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is to come out again. `failure` None: it came out as expected."""

    document: Document
    seed: int
    failure: Failure | None
    trace_hash: str | None


def replay(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A found scenario, or the folder of one run.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
) -> None:
    """Run a found scenario, or a simulated run that was kept, once more, from its own seed."""
    from cluster.runtime.sim import ensure_reproducible
    from cluster.scenario import ScenarioError, try_document

    ensure_reproducible()
    quiet_clients()
    try:
        recorded = _of_folder(path) if path.is_dir() else _of_file(path)
        trial = try_document(recorded.document, recorded.seed, f"fencepost replay {path}")
    except ScenarioError as error:
        complain(path, error.problems)
    is_same, text = _compare(recorded, trial)
    if as_json:
        print(json.dumps({"reproduced": is_same, "verdict": trial.verdict, "trace_hash": trial.trace_hash}))
    else:
        print(trial.text)
        print(text)
    raise typer.Exit(0 if is_same else 1)


def _of_file(path: Path) -> _Recorded:
    from cluster.scenario import ScenarioError, check_schema, recorded_failure

    document = load(path)
    scenario = check_schema(document)
    if scenario.found is None:
        raise ScenarioError(["this scenario records no failure (found:); run it with `fencepost run`"])
    return _Recorded(document, scenario.seed, recorded_failure(scenario), scenario.found.trace_hash or None)


def _of_folder(path: Path) -> _Recorded:
    from cluster.scenario import ScenarioError
    from cluster.scenario.found import failure_in_result

    try:
        result = json.loads((path / "result.json").read_text())
    except (OSError, ValueError) as error:
        inner = sorted(str(found.parent) for found in path.glob("*/result.json"))
        hint = f"; it holds the runs {', '.join(inner)}" if inner else ""
        raise ScenarioError([f"this folder has no result.json of one run ({error}){hint}"]) from None
    if not isinstance(result, dict) or not result.keys() >= _NEEDED:
        raise ScenarioError([f"its result.json is not of a run: it lacks {', '.join(sorted(_NEEDED))}"])
    if result["target"] != "sim":
        raise ScenarioError([f"a run on {result['target']} cannot be replayed: only the simulation repeats"])
    try:
        seed, failure = int(result["seed"]), failure_in_result(result)
    except (KeyError, TypeError, ValueError) as error:
        raise ScenarioError([f"its result.json is not of a run: {error!r}"]) from None
    return _Recorded(load(path / "scenario.yaml"), seed, failure, result["trace_hash"])


def _compare(recorded: _Recorded, trial: Trial) -> tuple[bool, str]:
    if recorded.trace_hash is not None and trial.trace_hash == recorded.trace_hash:
        return True, "reproduced: the same run, bit for bit"
    if recorded.failure is None or trial.failure is None:
        is_same = recorded.failure is None and trial.failure is None
    else:
        is_same = trial.failure.is_like(recorded.failure)
    if is_same:
        what = "all as expected" if recorded.failure is None else str(recorded.failure)
        return True, f"reproduced: {what}, though not the same run bit for bit: the code has changed since"
    return (
        False,
        f"not reproduced: recorded {recorded.failure or 'all as expected'}, now {trial.failure or 'as expected'}",
    )
