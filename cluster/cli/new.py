"""`fencepost new`: a commented scenario to begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from cluster.lab.errors import USAGE, LabError

_STARTER = """\
# Run it:      fencepost run {file}
# Variants:    fencepost run {file} --all-variants
# On processes instead of in the simulation: --on local
# What can be broken: fencepost faults --catalogue
lab: v1
name: {name}
duration: 40s                       # of faults; then everything is healed and read back, always

cluster:
  brokers: 3
  controllers: 3
  profile: kafka                    # Kafka's own timeouts; `fast` has about a tenth of them
  topics:
    orders: {{partitions: 1, replication-factor: 3, config: {{min.insync.replicas: 2}}}}

clients:                            # records are unique: every one that was acknowledged must be there in the end
  p1: {{produce: orders, rate: 50/s, acks: all}}
  r1: {{consume: orders}}

steps:                              # each: a trigger (at, after, every, when), one action, perhaps for: and as:
  - {{id: crash, at: 10s, kill: leader(orders-0), as: victim}}
  - {{id: elected, after: crash, when: leader(orders-0) != $victim, timeout: 15s, note: the ISR has a new leader}}
  - {{id: back, after: elected + 5s, start: $victim}}

expect:                             # each: always, never, sometimes, eventually or finally
  - {{id: durable, finally: no-lost-acks}}
  - {{id: one-leader, always: one-leader-per-epoch}}
  - {{id: outage-seen, sometimes: leader(orders-0) == none}}     # or the scenario shows nothing
  - {{id: failover, eventually: leader(orders-0) != $victim, within: 12s, of: crash}}

variants:                           # one thing changed, and what changes with it
  acks-1:
    patch: {{clients: {{p1: {{acks: 1}}}}}}
    verdicts: {{durable: any}}        # holds, violated or any
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new")(new)


def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, such as my-outage.yaml.")],
) -> None:
    """Write a scenario that runs as it is, with comments that say what can be changed."""
    name = re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise LabError(f"{file.stem!r} is no name for a scenario.", "Begin it with a letter.", USAGE)
    try:
        with file.open("x") as written:
            written.write(_STARTER.format(file=file, name=name))
    except FileExistsError:
        raise LabError(f"{file} is there already.", "Choose another name.", USAGE) from None
    except OSError as error:
        raise LabError(f"{file} cannot be written: {error.strerror}.", "Choose another place.", USAGE) from None
    typer.echo(f"{file}: run it with `fencepost run {file}`")
