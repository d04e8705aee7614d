"""`fencepost features`: levels of cluster-wide features, with kafka-features' flags and lines."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.cli import kafka_options
from cluster.console.errors import usage

ActionArgument = Annotated[str, typer.Argument(help="describe, upgrade, downgrade or disable.")]
FeatureOption = Annotated[list[str] | None, typer.Option(help="What to change: name=level; repeatable.")]
UnsafeOption = Annotated[bool, typer.Option("--unsafe", help="Downgrade although something may be lost.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")]

UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE = 1, 2, 3
_WORDS = {"upgrade": "upgraded to", "downgrade": "downgraded to", "disable": "disabled"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("features")(features)


def features(
    action: ActionArgument,
    *,
    bootstrap_server: kafka_options.BootstrapOption = None,
    feature: FeatureOption = None,
    unsafe: UnsafeOption = False,
    dry_run: DryRunOption = False,
    timeout: kafka_options.TimeoutOption = kafka_options.DEFAULT_TIMEOUT_MS,
) -> None:
    """Describe or change features, as kafka-features does."""
    from cluster.console.cluster_calls import describe_features, update_features
    from cluster.console.protocol_client import ProtocolClient

    if action != "describe" and action not in _WORDS:
        raise usage(f"There is no action {action}.", "Write describe, upgrade, downgrade or disable.")
    levels = {} if action == "describe" else _levels(feature or [], disable=action == "disable")
    with ProtocolClient(kafka_options.bootstrap(bootstrap_server), timeout) as client:
        if action == "describe":
            for each in describe_features(client):
                typer.echo(
                    f"Feature: {each.name}\tSupportedMinVersion: {each.oldest}\tSupportedMaxVersion: {each.newest}\t"
                    f"FinalizedVersionLevel: {each.level}\tEpoch: {each.epoch}"
                )
            return
        downgrade = UNSAFE_DOWNGRADE if unsafe else SAFE_DOWNGRADE
        update_features(client, levels, UPGRADE if action == "upgrade" else downgrade, validate_only=dry_run)
    for name, level in levels.items():
        verb = "can be" if dry_run else "was"
        typer.echo(f"{name} {verb} {_WORDS[action]}{'' if action == 'disable' else f' {level}'}.")


def _levels(texts: list[str], *, disable: bool) -> dict[str, int]:
    if not texts:
        raise usage("You must specify at least one feature.", "Add --feature eligible.leader.replicas.version=1.")
    levels = {}
    for text in texts:
        name, equals, level = text.partition("=")
        if disable != (not equals) or (equals and not level.strip().isdigit()):
            form = "name" if disable else "name=level, the level a number"
            raise usage(f"Can't parse feature {text!r}.", f"Write {form}; `fencepost features describe` shows them.")
        levels[name.strip()] = 0 if disable else int(level)
    return levels
