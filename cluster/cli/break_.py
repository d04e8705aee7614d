"""`fencepost break`: bring a fault about on a running cluster. Targets are named by name or by role.

Here: one command for each fault of the catalogue, made of it. Operations such as elections are not among them: Kafka's
own tools do these on a running cluster.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cluster.cli.command_list import WholeSentences
from cluster.cli.options import DEFAULT, JsonOption, NameOption, duration_us, share
from cluster.cli.show import say, show_json
from cluster.lab.catalogue import CATALOGUE, OPTIONS, FaultKind, Option
from cluster.lab.control import ask
from cluster.lab.errors import USAGE, LabError
from cluster.lab.quantities import parse_bandwidth, parse_drift, parse_offset_us

_HELP = {
    "nodes": "b1, leader(orders-0), followers(orders-0), brokers, ...",
    "link": "One direction of a link: 'followers(orders-0) -> leader(orders-0)'.",
    "sides": "Two or more sides, each a selector or several with commas.",
}
_DEFAULT_RATE = {"drop": "100%"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=WholeSentences, no_args_is_help=True, help="Bring a fault about. Each can be healed.")
    for kind in CATALOGUE:
        if kind.group != "operation":
            group.command(kind.verb, help=_help(kind))(_command(kind))
    app.add_typer(group, name="break")


def _help(kind: FaultKind) -> str:
    """Return what a fault does as a sentence, and what it cannot show."""
    text = f"{kind.text[0].upper()}{kind.text[1:]}."
    return f"{text} {kind.limits[0].upper()}{kind.limits[1:]}." if kind.limits else text


def _command(kind: FaultKind) -> Callable[..., None]:
    """Make a command of a fault. Its options are the catalogue's, so typer is given a signature to read."""

    def command(**given: Any) -> None:
        _break(kind, given)

    parameters = {"targets": _targets(kind)}
    parameters |= {name: _option(kind, OPTIONS[name]) for name in kind.options}
    if kind.group in ("network", "requests"):
        text = "A Kafka client.id that selectors may name; repeatable."
        parameters["client"] = (Annotated[list[str] | None, typer.Option("--client", help=text)], None)
    if kind.is_lasting:
        text = "Heal by itself after so long, such as 10s."
        parameters["for_"] = (Annotated[str | None, typer.Option("--for", help=text)], None)
    parameters |= {"name": (NameOption, DEFAULT), "as_json": (JsonOption, False)}
    signature = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in parameters.items()
    ]
    command.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]  # what inspect looks at first
    return command


def _targets(kind: FaultKind) -> tuple[Any, Any]:
    if kind.takes == "sides":
        return Annotated[list[str], typer.Argument(help=_HELP["sides"])], inspect.Parameter.empty
    metavar = "LINK" if kind.takes == "link" else "SELECTOR"
    return Annotated[str, typer.Argument(metavar=metavar, help=_HELP[kind.takes])], inspect.Parameter.empty


def _option(kind: FaultKind, option: Option) -> tuple[Any, Any]:
    text = f"{option.text[0].upper()}{option.text[1:]}."
    if option.kind == "words":
        flag = f"--{option.name.removesuffix('s')}"
        return Annotated[list[str] | None, typer.Option(flag, help=f"{text} Repeatable.")], None
    if option.kind == "count":
        return Annotated[int | None, typer.Option(f"--{option.name}", min=1, help=text)], None
    default = _DEFAULT_RATE.get(kind.verb) if option.name == "rate" else None
    return Annotated[str | None, typer.Option(f"--{option.name}", help=text)], default


def _break(kind: FaultKind, given: dict[str, Any]) -> None:
    settings = {name: _value(OPTIONS[name], given[name]) for name in kind.options if given[name] not in (None, [], ())}
    if kind.needs and not any(name in settings for name in kind.needs):
        wanted = " or ".join(f"--{name}" for name in kind.needs)
        raise LabError(f"{kind.verb} needs {wanted}.", f"`fencepost break {kind.verb} --help` shows them.", USAGE)
    for_text = given.get("for_")
    fault = {
        "verb": kind.verb,
        "selectors": _selectors(kind, given["targets"]),
        "settings": settings,
        "clients": given.get("client") or [],
        "for_ms": 0.0 if for_text is None else duration_us(for_text, "--for") / 1000,
    }
    row = ask(given["name"], "break", fault=fault)
    if given["as_json"]:
        show_json(row)
        return
    targets = ", ".join(row["targets"])
    if not kind.is_lasting:
        typer.echo(f"{row['verb']} {targets}")
        return
    typer.echo(f"{row['id']} {row['verb']} {targets}")
    say(f"Heal it with: fencepost heal {row['id']}")


def _selectors(kind: FaultKind, targets: Any) -> list[str]:
    if kind.takes == "sides":
        if len(targets) < 2:
            raise LabError("A partition has two sides or more.", "Name what is left with `rest`.", USAGE)
        return list(targets)
    if kind.takes != "link":
        return [targets]
    ends = [end.strip() for end in targets.split("->")]
    if len(ends) != 2 or not all(ends):
        cause = f"{targets!r} is not a link."
        raise LabError(cause, "Write it as 'SOURCE -> TARGET', such as 'b1 -> b2'.", USAGE)
    return ends


def _value(option: Option, given: Any) -> Any:
    """Read an option's value as the catalogue has it: durations in microseconds, shares of 1. Raises LabError."""
    flag = f"--{option.name}"
    match option.kind:
        case "duration":
            return duration_us(given, flag)
        case "share":
            return share(given, flag)
        case "offset" | "drift" | "bandwidth":
            readers: dict[str, Callable[[object], float]] = {
                "offset": parse_offset_us,
                "drift": parse_drift,
                "bandwidth": parse_bandwidth,
            }
            try:
                return readers[option.kind](given)
            except ValueError as error:
                raise LabError(f"{flag}: {error}.", f"It is {option.text}.", USAGE) from None
        case "direction" | "spread":
            choices = ("forward", "backward", "both") if option.kind == "direction" else ("uniform", "exponential")
            if given not in choices:
                raise LabError(f"{flag} {given!r} is none of its values.", f"Choose {', '.join(choices)}.", USAGE)
    return given
