"""Which commands there are, in the sections that `fencepost --help` shows.

Here: the table, and how it is printed. Not here: the commands, of which each has a file, whose `register(app)` adds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperGroup

SECTIONS: Mapping[str, Sequence[str]] = {
    "A cluster on this machine": ("up", "ps", "topic", "logs", "down"),
    "Faults": ("break", "faults", "heal"),
    "Scenarios": ("learn", "run", "explore", "replay", "check", "new", "validate", "schema"),
    "Tools with the flags of Kafka's own": (
        "console-producer",
        "console-consumer",
        "console-share-consumer",
        "topics",
        "configs",
        "consumer-groups",
        "share-groups",
        "transactions",
        "reassign-partitions",
        "leader-election",
        "metadata-quorum",
        "features",
        "log-dirs",
        "dump-log",
        "producer-perf-test",
        "consumer-perf-test",
    ),
    "Services": ("schema-registry", "node"),
}
_SENTENCE_MAX = 200
COMMANDS = tuple(name for names in SECTIONS.values() for name in names)


class WholeSentences(TyperGroup):
    """A command with commands of its own, whose help says of each what it does, and breaks no sentence off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write them, in the order in which they were added."""
        write_section(formatter, "Commands", self.commands)


class CommandList(TyperGroup):
    """The `fencepost` command, whose help lists the others by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        for section, names in SECTIONS.items():
            write_section(formatter, section, {name: self.commands[name] for name in names})


def write_section(formatter: Any, title: str, commands: Mapping[str, Any]) -> None:
    """Write a section of a command's help: each command with its first sentence, however long."""
    with formatter.section(title):
        formatter.write_dl([(name, each.get_short_help_str(limit=_SENTENCE_MAX)) for name, each in commands.items()])
