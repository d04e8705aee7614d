"""What the live tests of groups start from: three brokers, and a topic of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from confluent_kafka.admin import NewTopic
from group_clients import BROKERS, PARTITIONS, SOON_S, Brokers, eventually

NUMBERS = count(1)


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    brokers = Brokers(tmp_path_factory.mktemp("fencepost"))
    yield brokers
    brokers.run("down", "--purge")


@pytest.fixture
def topic(brokers: Brokers) -> str:
    """A topic of the test's own, on three brokers that are all back from what the test before did to them."""
    name = f"orders-{next(NUMBERS)}"
    # A client of long standing fails what it asks of a broker that it believes gone: the topic takes a new one.
    eventually(lambda: len(brokers.new_admin().list_topics(timeout=SOON_S).brokers) == BROKERS)
    admin = brokers.new_admin()
    admin.create_topics([NewTopic(name, PARTITIONS, BROKERS)])[name].result(SOON_S)
    return name
