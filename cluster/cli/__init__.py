"""The `fencepost` command: one file per command, put together here.

Here: how a command is found, and how an error becomes a message and an exit code. Not here: which commands there are
(`command_list`). Standard output is data, standard error is talk. Only the module of the command that was asked for is
imported, so that `fencepost ps` stays fast.

Exit codes: 0 as expected, 1 a verdict differs, 2 usage, 3 inconclusive, 4 could not start, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from types import ModuleType
from typing import NoReturn

__all__ = ["main"]

_COULD_NOT_START = 4
_INTERRUPTED = 130
_MODULES = {"break": "break_"}  # a keyword cannot be imported by name


def main() -> None:
    """Run the command line and exit."""
    try:
        sys.exit(_begin(sys.argv[1:]))
    except KeyboardInterrupt:  # while modules are loaded, too
        _leave()


def _leave() -> NoReturn:
    """End an interrupted process: all is healed and closed by now, and what a simulation left half done would chat."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader may be gone, interrupted as we are
            stream.flush()
    os._exit(_INTERRUPTED)


def _begin(arguments: list[str]) -> int:
    """Do what must come before anything is loaded, then run the command."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # or it chats about peers that went away
    if sys.dont_write_bytecode:  # as some shells have it: compiling anew takes longer than all the rest
        start = importlib.import_module("cluster.runtime.live.zygote_start")
        sys.pycache_prefix = sys.pycache_prefix or str(start.compiled_code_directory())
        sys.dont_write_bytecode = False
    if arguments[:1] == ["up"] and "--help" not in arguments:
        early = importlib.import_module("cluster.cli.early")
        if {"-d", "--detach"} & {*arguments}:
            early.detach()
        # The nodes' code loads in another process while this one still loads its own.
        early.start()
    return _run(arguments)


def _run(arguments: list[str]) -> int:
    import typer

    from cluster.cli.command_list import COMMANDS, CommandList
    from cluster.lab.errors import LabError

    app = typer.Typer(
        name="fencepost",
        cls=CommandList,
        help="A Kafka-compatible cluster you can break.",
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root() -> None:
        """A Kafka-compatible cluster you can break."""

    # When none is known by the name that was typed, all of them are needed, to say what there is.
    for name in [name for name in arguments[:1] if name in COMMANDS] or COMMANDS:
        _module(name).register(app)
    try:
        app(args=arguments, prog_name="fencepost")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except LabError as error:
        typer.echo(f"fencepost: {error.cause}\n{error.remedy}", err=True)
        return error.exit_code
    except BrokenPipeError:  # the reader of a pipe went away, such as `fencepost logs | head`
        return 0
    except OSError as error:  # a disk or a network that refuses is no bug of ours
        typer.echo(f"fencepost: {error.strerror or error}: {error.filename or 'this machine refuses'}.", err=True)
        return _COULD_NOT_START
    return 0


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"cluster.cli.{_MODULES.get(name, name.replace('-', '_'))}")
