"""`fencepost break`: bring a fault about on a running cluster. Targets are named by name or by role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from cluster.cli.options import DEFAULT, JsonOption, NameOption, duration_ms, share
from cluster.cli.show import say, show_json
from cluster.lab.control import ask
from cluster.lab.errors import USAGE, LabError

_SelectorArgument = Annotated[str, typer.Argument(help="b1, leader(orders-0), followers(orders-0), brokers, ...")]
_ForOption = Annotated[str | None, typer.Option("--for", help="Heal by itself after so long, such as 10s.")]
_ClientOption = Annotated[
    list[str] | None, typer.Option("--client", help="A Kafka client.id that selectors may name; repeatable.")
]
_ApiOption = Annotated[
    list[str] | None, typer.Option("--api", help="Only this RPC, such as Fetch; repeatable. All when none is named.")
]

_NODE_VERBS = {
    "kill": "End the process at once, as kill -9 does.",
    "stop": "Stop in good order: a controlled shutdown.",
    "start": "Start what was killed or stopped.",
    "restart": "Stop in good order, then start.",
    "pause": "Freeze the process: sockets stay open, nothing answers.",
    "resume": "Let a paused process go on.",
}
_LASTING = ("kill", "stop", "pause")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Bring a fault about. Each can be healed.")
    for verb, text in _NODE_VERBS.items():
        group.command(verb, help=text)(_node_command(verb))
    group.command("isolate")(isolate)
    group.command("partition")(partition)
    group.command("slow")(slow)
    group.command("drop")(drop)
    app.add_typer(group, name="break")


def _node_command(verb: str) -> Callable[..., None]:
    def lasting(
        selector: _SelectorArgument, for_: _ForOption = None, name: NameOption = DEFAULT, as_json: JsonOption = False
    ) -> None:
        _break(name, as_json, verb=verb, selectors=[selector], for_ms=_duration(for_, "--for"))

    def passing(selector: _SelectorArgument, name: NameOption = DEFAULT, as_json: JsonOption = False) -> None:
        _break(name, as_json, verb=verb, selectors=[selector])

    return lasting if verb in _LASTING else passing


def isolate(
    selector: _SelectorArgument,
    client: _ClientOption = None,
    for_: _ForOption = None,
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Cut nodes off from all other nodes, both ways. Clients still reach them, unless named with --client."""
    _break(name, as_json, verb="isolate", selectors=[selector], clients=client or [], for_ms=_duration(for_, "--for"))


def partition(
    sides: Annotated[list[str], typer.Argument(help="Two or more sides, each a selector or several with commas.")],
    client: _ClientOption = None,
    for_: _ForOption = None,
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Cut the links between sides, such as: partition b1 rest. Who is on two sides is a bridge."""
    if len(sides) < 2:
        raise LabError("A partition has two sides or more.", "Name what is left with `rest`.", USAGE)
    _break(name, as_json, verb="partition", selectors=sides, clients=client or [], for_ms=_duration(for_, "--for"))


def slow(
    *,
    link: Annotated[str, typer.Argument(help="One direction of a link: 'followers(orders-0) -> leader(orders-0)'.")],
    latency: Annotated[str, typer.Option("--latency", help="Added to every message, such as 300ms.")],
    jitter: Annotated[str | None, typer.Option("--jitter", help="Up to so much more, drawn for each message.")] = None,
    api: _ApiOption = None,
    client: _ClientOption = None,
    for_: _ForOption = None,
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Delay what the left side sends to the right side."""
    _break(
        name,
        as_json,
        verb="slow",
        selectors=_ends(link),
        latency_ms=_duration(latency, "--latency"),
        jitter_ms=_duration(jitter, "--jitter"),
        apis=api or [],
        clients=client or [],
        for_ms=_duration(for_, "--for"),
    )


def drop(
    *,
    link: Annotated[str, typer.Argument(help="One direction of a link: 'b1 -> b2'.")],
    rate: Annotated[str, typer.Option("--rate", help="The share that is lost, such as 20%.")] = "100%",
    api: _ApiOption = None,
    client: _ClientOption = None,
    for_: _ForOption = None,
    name: NameOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Lose what the left side sends to the right side: it is sent again after a timeout, or never at 100%."""
    _break(
        name,
        as_json,
        verb="drop",
        selectors=_ends(link),
        rate=share(rate, "--rate"),
        apis=api or [],
        clients=client or [],
        for_ms=_duration(for_, "--for"),
    )


def _ends(link: str) -> list[str]:
    ends = [end.strip() for end in link.split("->")]
    if len(ends) != 2 or not all(ends):
        raise LabError(f"{link!r} is not a link.", "Write it as 'SOURCE -> TARGET', such as 'b1 -> b2'.", USAGE)
    return ends


def _duration(text: str | None, option: str) -> float:
    return 0.0 if text is None else duration_ms(text, option)


def _break(name: str, as_json: bool, **fault: Any) -> None:
    row = ask(name, "break", fault=fault)
    if as_json:
        show_json(row)
        return
    targets = ", ".join(row["targets"])
    if row["verb"] in ("start", "restart", "resume"):
        typer.echo(f"{row['verb']} {targets}")
        return
    typer.echo(f"{row['id']} {row['verb']} {targets}")
    say(f"Heal it with: fencepost heal {row['id']}")
