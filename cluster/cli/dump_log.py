"""`fencepost dump-log`: what is in a partition's files, with kafka-dump-log's flags and lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.show import say
from cluster.console.errors import usage

FilesOption = Annotated[str | None, typer.Option(help="Which: file,file.", metavar="LIST")]
DataOption = Annotated[bool, typer.Option("--print-data-log", help="Show every record, keys and values.")]
DeepOption = Annotated[bool, typer.Option("--deep-iteration", help="Show every record, without keys and values.")]
SkipOption = Annotated[bool, typer.Option("--skip-record-metadata", help="Of records, show keys and values only.")]
VerifyOption = Annotated[bool, typer.Option("--verify-index-only", help="Check indexes, show nothing else of them.")]
SanityOption = Annotated[bool, typer.Option("--index-sanity-check", help="As --verify-index-only.")]
BytesOption = Annotated[int | None, typer.Option(help="Read only so much of a log.", min=1)]
SizeOption = Annotated[int | None, typer.Option(help="Has no effect: batches may have any size.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dump-log")(dump_log)


def dump_log(
    *,
    files: FilesOption = None,
    print_data_log: DataOption = False,
    deep_iteration: DeepOption = False,
    skip_record_metadata: SkipOption = False,
    verify_index_only: VerifyOption = False,
    index_sanity_check: SanityOption = False,
    max_bytes: BytesOption = None,
    max_message_size: SizeOption = None,
) -> None:
    """Show what is in segments, indexes and producer snapshots, as kafka-dump-log does."""
    from cluster.console.log_dump import BYTES_MAX, DumpOptions, dump_file

    if not files:
        raise usage(
            'Missing required argument "[files]"', "Name segments: --files .../orders-0/00000000000000000000.log"
        )
    options = DumpOptions(
        with_records=deep_iteration or print_data_log,
        with_data=print_data_log,
        skip_metadata=skip_record_metadata,
        bytes_max=BYTES_MAX if max_bytes is None else max_bytes,
        verify_only=verify_index_only or index_sanity_check,
    )
    complaints = []
    for name in files.split(","):
        for is_wrong, line in dump_file(Path(name.strip()), options):
            if is_wrong:
                complaints.append(line)
            else:
                typer.echo(line)
    for line in complaints:  # at the end, where they are seen
        say(line)
