"""`fencepost learn`: one lesson about replication at a time. Predict, run, see who was right, change one thing.

Here: the conversation. The lessons are scenarios (`scenarios/lessons`), so `fencepost run` runs them, too. Without a
terminal the answer comes from `--answer` or from a line on standard input, and the variants from `--variant`.

Exit codes: 0 every verdict as the lesson states, whatever was predicted; otherwise those of `fencepost run`.
"""

from __future__ import annotations

import re
import shutil
import string
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli.kept_runs import KeptRuns
from cluster.cli.run import complain, load, prepare, replay_command, worse
from cluster.lab.errors import USAGE

if TYPE_CHECKING:
    from cluster.report import RunResult
    from cluster.scenario import Document, Lesson, Scenario

_FILE = re.compile(r"(?P<number>\d+)-(?P<name>[a-z0-9-]+)\.yaml")
_WIDTH_MAX = 100


@dataclass(frozen=True, slots=True)
class LessonFile:
    """A lesson that is there: its number, its name, and the scenario."""

    number: int
    name: str
    path: Path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("learn")(learn)


def learn(
    which: Annotated[str | None, typer.Argument(metavar="LESSON", help="A number or a name; a list when absent.")] = (
        None
    ),
    *,
    answer: Annotated[str | None, typer.Option(help="Your prediction, a letter, in place of being asked.")] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="Run this variant afterwards, in place of being asked; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What chance is drawn from; the lesson's own when absent.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Keep the runs here, not in runs/NAME/TIME-SEED."),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Keep nothing of the runs.")] = False,
) -> None:
    """Learn replication by breaking it: predict, run, see, change one thing."""
    from cluster.scenario import ScenarioError

    if no_report and report is not None:
        raise typer.BadParameter("--report and --no-report exclude each other.")
    lessons = find_lessons(lessons_directory())
    if which is None:
        _print_list(lessons)
        return
    chosen = _chosen(lessons, which)
    prepare("sim")  # before anything is asked: it may begin the process anew
    try:
        code = _Session(chosen, answer, variant, seed).teach(report, no_report=no_report)
    except ScenarioError as error:
        complain(chosen.path, error.problems)
    raise typer.Exit(code)


def lessons_directory() -> Path:
    """Where the lessons are: beside the package in a checkout, or under the current directory."""
    beside = Path(__file__).resolve().parents[2] / "scenarios" / "lessons"
    return beside if beside.is_dir() else Path("scenarios", "lessons")


def find_lessons(directory: Path) -> tuple[LessonFile, ...]:
    """Return the lessons of a directory by number. Exits with a message when there is none."""
    found: list[LessonFile] = []
    for path in sorted(directory.glob("*.yaml")):
        match = _FILE.fullmatch(path.name)
        if match is not None:
            found.append(LessonFile(int(match["number"]), match["name"], path))
    if not found:
        typer.echo(f"There are no lessons in {directory}. Run this where Fencepost was checked out.", err=True)
        raise typer.Exit(USAGE)
    return tuple(found)


def _chosen(lessons: Sequence[LessonFile], which: str) -> LessonFile:
    from cluster.lab.selectors import did_you_mean

    for lesson in lessons:
        if which in (lesson.name, str(lesson.number), f"{lesson.number:02}", lesson.path.stem):
            return lesson
    hint = did_you_mean(which, [lesson.name for lesson in lessons])
    typer.echo(f"There is no lesson {which!r}{hint}. `fencepost learn` lists them.", err=True)
    raise typer.Exit(USAGE)


def _print_list(lessons: Sequence[LessonFile]) -> None:
    from cluster.scenario import ScenarioError, check_schema

    for lesson in lessons:
        try:
            scenario = check_schema(load(lesson.path))
        except ScenarioError as error:
            complain(lesson.path, error.problems)
        print(f"{lesson.number:>3}  {lesson.name}")
        print(_wrapped(_lesson_of(scenario, lesson).teaches, indent="     "))
    print("\nBegin with: fencepost learn 1")


class _Session:
    """One learner and one lesson."""

    def __init__(self, lesson: LessonFile, answer: str | None, variants: list[str] | None, seed: int | None) -> None:
        from cluster.scenario import check_schema

        self._file = lesson
        self._document: Document = load(lesson.path)
        self._scenario = check_schema(self._document)
        self._lesson = _lesson_of(self._scenario, lesson)
        self._seed = self._scenario.seed if seed is None else seed
        self._choices: Mapping[str, str] = dict(zip(string.ascii_lowercase, self._lesson.choices, strict=False))
        self._answer = answer
        self._variants = variants
        self._kept: KeptRuns | None = None
        for name in variants or ():
            self._check_variant(name)

    def teach(self, report: Path | None, *, no_report: bool) -> int:
        """Hold the lesson and return the exit code."""
        from cluster.report import EXIT_CODES
        from cluster.scenario import make_plan

        if not no_report:
            plan = make_plan(self._document)
            self._kept = KeptRuns.of(report, plan, self._seed, has_variants=True)
        print(f"Lesson {self._file.number}: {self._file.name}\n")
        print(_wrapped(self._lesson.predict))
        for letter, choice in self._choices.items():
            print(_wrapped(f"{letter}) {choice}", indent="  ", hanging="     "))
        predicted = self._prediction()
        try:
            first = self._run(None)
            self._grade(predicted)
            self._tell()
            code = EXIT_CODES[first.verdict]
            for name in self._wanted_variants():
                code = worse(code, EXIT_CODES[self._run_variant(name, first).verdict])
        finally:
            if self._kept is not None:
                self._kept.finish()
        return code

    # --- the prediction ----------------------------------------------------------------------------

    def _prediction(self) -> str:
        """The letter that was chosen. Exits with the usage code when there is nobody to ask."""
        if not self._choices:
            return ""
        given = self._answer
        while True:
            if given is None:
                given = _ask(f"\nYour prediction ({'/'.join(self._choices)}): ")
            if given is None:
                typer.echo(f"\nNobody answers. Say it with --answer {'|'.join(self._choices)}.", err=True)
                raise typer.Exit(USAGE)
            letter = given.strip().lower().rstrip(")")
            if letter in self._choices:
                return letter
            typer.echo(f"{given.strip()!r} is none of {', '.join(self._choices)}.", err=True)
            if self._answer is not None or not sys.stdin.isatty():
                raise typer.Exit(USAGE)
            given = None

    def _grade(self, predicted: str) -> None:
        if not predicted:
            return
        right = next(letter for letter, choice in self._choices.items() if choice == self._lesson.answer)
        if predicted == right:
            print(_wrapped(f"✔ Right: {self._lesson.answer}.", hanging="  "))
        else:
            print(_wrapped(f"✖ Not {predicted}. It was {right}: {self._lesson.answer}.", hanging="  "))

    # --- running and telling -----------------------------------------------------------------------

    def _run(self, variant: str | None) -> RunResult:
        from cluster.report import terminal_text
        from cluster.scenario import make_plan, run_in

        plan = make_plan(self._document, variant)
        seconds = plan.scenario.duration / 1_000_000
        typer.echo(f"\nRunning {seconds:.0f} s of a cluster's life in the simulation …", err=True)
        done = run_in("sim", plan, self._seed, replay_command(_shown(self._file.path), "sim", self._seed, variant, ()))
        if self._kept is not None:
            self._kept.add(plan, done)
        print(f"\n{terminal_text(done.result)}\n")
        return done.result

    def _tell(self) -> None:
        print("\nWhat there was to see:")
        for number, seen in enumerate(self._lesson.observe, 1):
            print(_wrapped(f"{number}. {seen}", indent="  ", hanging="     "))
        print(f"\nWhy:\n{_wrapped(self._lesson.explains, indent='  ')}")
        production = self._lesson.in_production
        print("\nIn production:")
        print(_wrapped(f"watch  {production.metric}", indent="  ", hanging="         "))
        print(_wrapped(f"set    {production.config}", indent="  ", hanging="         "))
        if self._lesson.read:
            print(_wrapped(f"Read on: {', '.join(self._lesson.read)}", hanging="  "))

    # --- variants ----------------------------------------------------------------------------------

    def _wanted_variants(self) -> Iterator[str]:
        """What to run next: what was asked for, or what a person at a terminal says, one after the other."""
        if self._variants is not None:
            yield from self._variants
        elif not sys.stdin.isatty():
            print("\nChange one thing and run again:")
            for name in self._scenario.variants:
                print(
                    f"  fencepost learn {self._file.number} --answer {next(iter(self._choices), 'a')} --variant {name}"
                )
        else:
            yield from self._asked_variants()

    def _asked_variants(self) -> Iterator[str]:
        left = list(self._scenario.variants)
        while left:
            given = _ask(f"\nChange one thing and run again ({', '.join(left)}; Enter to end): ")
            if given is None or not given.strip():
                return
            if given.strip() in left:
                left.remove(given.strip())
                yield given.strip()
            else:
                typer.echo(f"There is no variant {given.strip()!r}.", err=True)

    def _check_variant(self, name: str) -> None:
        from cluster.lab.selectors import did_you_mean

        if name not in self._scenario.variants:
            hint = did_you_mean(name, self._scenario.variants)
            typer.echo(f"Lesson {self._file.number} has no variant {name!r}{hint}.", err=True)
            raise typer.Exit(USAGE)

    def _run_variant(self, name: str, first: RunResult) -> RunResult:
        result = self._run(name)
        before = {check.id: check.outcome for check in first.checks}
        for check in result.checks:
            if before.get(check.id) not in (None, check.outcome):
                print(_wrapped(f"→ {check.id}: {before[check.id]} before, {check.outcome} now.", hanging="  "))
        return result


def _lesson_of(scenario: Scenario, lesson: LessonFile) -> Lesson:
    if scenario.lesson is None:
        typer.echo(f"{lesson.path} has no lesson: block.", err=True)
        raise typer.Exit(USAGE)
    return scenario.lesson


def _shown(path: Path) -> Path:
    """A path as somebody here would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _ask(question: str) -> str | None:
    """Ask on standard error and read a line; None when standard input has ended."""
    typer.echo(question, nl=False, err=True)
    line = sys.stdin.readline()
    return line if line else None


def _wrapped(text: str, indent: str = "", hanging: str | None = None) -> str:
    width = min(shutil.get_terminal_size().columns, _WIDTH_MAX)
    return textwrap.fill(
        text,
        width=max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
    )
