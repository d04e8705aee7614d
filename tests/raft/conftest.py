"""The flag that writes the interaction tests anew, so that a change of behaviour is reviewed as a diff."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write the output in tests/raft/interaction/*.txt as it is now"
    )
