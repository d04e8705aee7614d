"""The cluster that the tests of a file share: it is whole when a test begins, whatever the last one broke."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from three_brokers import ThreeBrokers


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeBrokers]:
    cluster = ThreeBrokers(tmp_path_factory.mktemp("clients") / "data")
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(shared_cluster: ThreeBrokers) -> Iterator[ThreeBrokers]:
    yield shared_cluster
    shared_cluster.mend()
