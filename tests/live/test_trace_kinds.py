"""Whoever reads the traces of processes knows every kind of event, whatever else it has imported, and says when not."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cluster.base.trace
from cluster.lab.trace_merge import TraceMerge

READ_BACK = """
import sys
import cluster.lab.trace_merge
from cluster.base.traced import Traced
for kind in sys.argv[1:]:
    try:
        Traced.from_json({"t": 0, "node": "b1", "kind": kind})
    except (KeyError, TypeError) as error:
        if error.args[0] == kind:
            print(kind)
"""


def test_every_kind_of_event_can_be_read_back() -> None:
    folder = Path(cluster.base.trace.__file__).parent
    texts = [path.read_text() for path in sorted(folder.glob("*trace.py"))]
    kinds = [kind for text in texts for kind in re.findall(r"^class (\w+)\(TraceEvent\)", text, re.MULTILINE)]
    assert len(kinds) > 40
    found = subprocess.run([sys.executable, "-c", READ_BACK, *kinds], capture_output=True, text=True, check=True)
    assert found.stdout == ""


@pytest.mark.parametrize("line", ['{"t": 1, "no', json.dumps({"t": 2**62, "node": "b1", "kind": "Unheard"})])
def test_a_trace_that_cannot_be_read_is_no_reason_to_wait_for_ever(tmp_path: Path, line: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(f"{line}\n")

    async def main() -> None:
        merge = TraceMerge([path])
        merge.start()
        with pytest.raises((ValueError, KeyError)):
            await asyncio.wait_for(merge.settle(), 60)
        with pytest.raises((ValueError, KeyError)):
            await merge.close()

    asyncio.run(main())
