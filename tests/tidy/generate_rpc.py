"""Generate `cluster/rpc` from `proto/`, or check that what is committed is what would be generated.

Generated code is committed so that an installation needs no compiler.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
FACE = '"""Generated from `proto/` by `make proto`: messages, stubs and servicers. Never edited."""\n'


def generate(target: Path) -> None:
    """Write all modules below `target`."""
    sources = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where the plugins are
    arguments = ["protoc", f"-I{ROOT / 'proto'}"]
    arguments += [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    if protoc.main(arguments + sources) != 0:
        raise SystemExit("protoc failed: see above")
    (target / "cluster" / "rpc" / "__init__.py").write_text(FACE)


def main() -> None:
    """Regenerate in place, or with --check compare and exit 1 when something differs."""
    if "--check" not in sys.argv:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {path.name: path.read_bytes() for path in (Path(scratch) / "cluster" / "rpc").iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "cluster" / "rpc").iterdir() if path.is_file()}
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    if stale:
        raise SystemExit(f"generated code is out of date, run `make proto`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
