"""Tables and lines of the tools are Kafka's, character by character."""

from __future__ import annotations

from datetime import UTC

import pytest

from cluster.console import group_text
from cluster.console.config_calls import Entity, Setting, describe_entity, parse_added
from cluster.console.group_text import Group, Listing, Member
from cluster.console.performance import ConsumerStatistics, ProducerStatistics, date_formatter
from cluster.console.topic_text import (
    PartitionFacts,
    Report,
    TopicFacts,
    describe_topic,
    matching,
    parse_assignment,
    parse_topic_configs,
)
from cluster.lab import LabError

TOPIC = TopicFacts(
    "orders",
    "ns8QUIW0Q32r3Pj80d4M1w",
    (
        PartitionFacts(1, None, (2, 3, 1), ()),
        PartitionFacts(0, 2, (2, 3, 1), (2, 3, 1)),
        PartitionFacts(2, 9, (1, 2, 3), (1, 2)),
    ),
    {"min.insync.replicas": "2", "segment.bytes": "1073741824"},
    2,
)


def test_a_topic_is_described_in_kafkas_columns() -> None:
    assert describe_topic(TOPIC, Report(), [1, 2, 3], with_partitions=True) == [
        "Topic: orders\tTopicId: ns8QUIW0Q32r3Pj80d4M1w\tPartitionCount: 3\tReplicationFactor: 3"
        "\tConfigs: min.insync.replicas=2,segment.bytes=1073741824",
        "\tTopic: orders\tPartition: 0\tLeader: 2\tReplicas: 2,3,1\tIsr: 2,3,1\tElr: N/A\tLastKnownElr: N/A",
        "\tTopic: orders\tPartition: 1\tLeader: none\tReplicas: 2,3,1\tIsr: \tElr: N/A\tLastKnownElr: N/A",
        "\tTopic: orders\tPartition: 2\tLeader: 9\tReplicas: 1,2,3\tIsr: 1,2\tElr: N/A\tLastKnownElr: N/A",
    ]


@pytest.mark.parametrize(
    ("report", "partitions"),
    [
        (Report(under_replicated=True), [1, 2]),
        (Report(unavailable=True), [1, 2]),
        (Report(under_min_isr=True), [1]),
        (Report(at_min_isr=True), [2]),
    ],
)
def test_a_report_shows_only_the_partitions_it_is_about(report: Report, partitions: list[int]) -> None:
    lines = describe_topic(TOPIC, report, [1, 2, 3], with_partitions=True)
    assert [int(line.split("\t")[2].removeprefix("Partition: ")) for line in lines] == partitions


def test_a_topic_may_be_a_pattern() -> None:
    topics = ["orders", "order", "a.b", "__consumer_offsets"]
    assert matching(topics, None, exclude_internal=False) == ["__consumer_offsets", "a.b", "order", "orders"]
    assert matching(topics, None, exclude_internal=True) == ["a.b", "order", "orders"]
    assert matching(topics, "order", exclude_internal=False) == ["order"]
    assert matching(topics, "order.*, a\\.b", exclude_internal=False) == ["a.b", "order", "orders"]
    with pytest.raises(LabError, match="invalid regex"):
        matching(topics, "(", exclude_internal=False)


def test_assignments_and_configs_are_read() -> None:
    assert parse_assignment("1:2,2:3") == [[1, 2], [2, 3]]
    assert parse_topic_configs(["a = 1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    for text, said in (
        ("1:1", "duplicate entries: 1,1"),
        ("1:2,3", "Partition 1 has different"),
        ("a", "not an assign"),
    ):
        with pytest.raises(LabError, match=said):
            parse_assignment(text)
    with pytest.raises(LabError, match='format "key=val"'):
        parse_topic_configs(["a"])


def test_configs_are_described_with_their_synonyms() -> None:
    settings = [
        Setting("retention.ms", "1", 5, synonyms=((5, "log.retention.ms", "1"),)),
        Setting(
            "cleanup.policy", "compact", 1, synonyms=((1, "cleanup.policy", "compact"), (5, "log.cleanup.policy", None))
        ),
    ]
    assert describe_entity(Entity("topics", "orders"), settings, show_all=False) == [
        "Dynamic configs for topic orders are:",
        "  cleanup.policy=compact sensitive=false "
        "synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact, DEFAULT_CONFIG:log.cleanup.policy=null}",
    ]
    shown = describe_entity(Entity("topics", "orders"), settings, show_all=True)
    assert shown[0] == "All configs for topic orders are:"
    assert shown[2] == "  retention.ms=1 sensitive=false synonyms={DEFAULT_CONFIG:log.retention.ms=1}"
    assert describe_entity(Entity("brokers", ""), [], show_all=False) == [
        "Default configs for brokers in the cluster are:"
    ]


def test_a_list_in_brackets_is_one_config() -> None:
    assert parse_added("a=1,b=[x,y] , c=") == {"a": "1", "b": "x,y", "c": ""}
    for text in ("a", "a b=1"):
        with pytest.raises(LabError, match="Invalid"):
            parse_added(text)


LIVE = Group(
    "g",
    "Stable",
    (
        Member("c-1", "/127.0.0.1", "client", (("orders", 2),)),
        Member("a-much-longer-id", "/127.0.0.1", "client", (("orders", 1), ("orders", 0))),
        Member("idle", "/127.0.0.1", "client", ()),
    ),
    "range",
    "127.0.0.1:9092  (1)",
)


def test_a_group_is_described_with_its_lag() -> None:
    committed = {("orders", 0): 5, ("orders", 2): 10, ("events", 0): 1}
    ends = {("orders", 0): 8, ("orders", 1): 4, ("orders", 2): 10, ("events", 0): 1}
    assert group_text.describe_offsets(LIVE, committed, ends) == [
        "",
        "GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             "
        "CONSUMER-ID      HOST            CLIENT-ID",
        "g               orders          0          5               8               3               "
        "a-much-longer-id /127.0.0.1      client",
        "g               orders          1          -               4               -               "
        "a-much-longer-id /127.0.0.1      client",
        "g               orders          2          10              10              0               "
        "c-1              /127.0.0.1      client",
        "g               events          0          1               1               0               "
        "-                -               -",
    ]


def test_members_and_state_have_their_columns() -> None:
    assert group_text.describe_members(LIVE, verbose=False)[:2] == [
        "",
        "GROUP           CONSUMER-ID      HOST            CLIENT-ID       #PARTITIONS     ",
    ]
    verbose = group_text.describe_members(LIVE, verbose=True)
    assert [line.split()[-1] for line in verbose[1:]] == ["ASSIGNMENT", "orders(2)", "orders(0,1)", "-"]
    assert group_text.describe_state(LIVE) == [
        "",
        "GROUP                     COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE           #MEMBERS",
        "g                         127.0.0.1:9092  (1)       range                Stable          3",
    ]


@pytest.mark.parametrize(
    ("state", "said", "has_table"),
    [
        ("Stable", "", True),
        ("Empty", "Consumer group 'g' has no active members.", True),
        ("CompletingRebalance", "Warning: Consumer group 'g' is rebalancing.", True),
        ("Dead", "Consumer group 'g' does not exist.", False),
    ],
)
def test_a_state_is_told_besides_the_table(state: str, said: str, has_table: bool) -> None:
    assert group_text.complaint(Group("g", state)) == (said, has_table)


def test_groups_are_listed_with_type_and_state_on_demand() -> None:
    listings = [Listing("g1", "Classic", "Stable"), Listing("a-group-with-a-name", "Consumer", "Empty")]
    assert group_text.list_groups(listings, with_type=False, with_state=False) == ["g1", "a-group-with-a-name"]
    assert group_text.list_groups(listings, with_type=True, with_state=True) == [
        "GROUP                         TYPE                 STATE               ",
        "g1                            Classic              Stable              ",
        "a-group-with-a-name           Consumer             Empty               ",
    ]


def test_a_reset_is_shown_and_exported() -> None:
    moved = [("g", ("orders", 0), 7)]
    assert group_text.describe_reset(moved) == [
        "",
        "GROUP                          TOPIC                          PARTITION  NEW-OFFSET     ",
        "g                              orders                         0          7              ",
    ]
    assert group_text.write_plan(moved, one_group=True) == "orders,0,7\n"
    plan = group_text.write_plan(moved, one_group=False)
    assert plan == "g,orders,0,7\n"
    assert group_text.parse_plan(plan, ["g", "h"]) == {"g": {("orders", 0): 7}}
    assert group_text.parse_plan('"orders",0,7\n', ["g"]) == {"g": {("orders", 0): 7}}
    with pytest.raises(LabError, match="not part of a reset plan"):
        group_text.parse_plan("orders,0,7", ["g", "h"])


def test_times_durations_and_topics_are_read() -> None:
    assert group_text.parse_datetime("2023-11-14T22:13:20.000") == 1_700_000_000_000
    assert group_text.parse_datetime("2023-11-15T00:13:20.000+02:00") == 1_700_000_000_000
    assert [group_text.parse_duration(text) for text in ("PT0.5S", "P1DT1H1M1S", "-PT1S")] == [500, 90_061_000, -1000]
    assert group_text.parse_topics(["a", "b:0,2"]) == (["a"], [("b", 0), ("b", 2)])
    for text in ("P", "PT", "5s"):
        with pytest.raises(LabError, match="not a duration"):
            group_text.parse_duration(text)
    with pytest.raises(LabError, match="not a time"):
        group_text.parse_datetime("yesterday")
    with pytest.raises(LabError, match="Invalid partition"):
        group_text.parse_topics(["a:x"])


def test_a_producers_lines_have_kafkas_figures() -> None:
    lines: list[str] = []
    statistics = ProducerStatistics(4, 1_000, lines.append)
    for latency_ms, now_ms in ((10, 1_500), (20, 2_000), (30, 6_000), (41, 7_000)):
        statistics.record(latency_ms, 1024 * 1024, now_ms)
    assert lines == ["3 records sent, 0.6 records/sec (0.60 MB/sec), 20.0 ms avg latency, 30.0 ms max latency."]
    assert statistics.total(9_000) == (
        "4 records sent, 0.5 records/sec (0.50 MB/sec), 25.25 ms avg latency, 41.00 ms max latency, "
        "30 ms 50th, 41 ms 95th, 41 ms 99th, 41 ms 99.9th."
    )
    assert ProducerStatistics(5, 0, lines.append).total(0).startswith("0 records sent, 0.0 records/sec")


def test_a_consumers_lines_have_kafkas_figures() -> None:
    statistics = ConsumerStatistics(0, date_formatter("yyyy-MM-dd HH:mm:ss:SSS", UTC))
    statistics.assigned(500)
    for _ in range(3):
        statistics.record(1024 * 1024)
    assert (
        statistics.progress(1_000) == "1970-01-01 00:00:01:000, 0, 3.0000, 3.0000, 3, 3.0000, 500, 500, 6.0000, 6.0000"
    )
    assert (
        statistics.progress(2_000) == "1970-01-01 00:00:02:000, 0, 3.0000, 0.0000, 3, 0.0000, 0, 1000, 0.0000, 0.0000"
    )
    assert statistics.total(2_000) == (
        "1970-01-01 00:00:00:000, 1970-01-01 00:00:02:000, 3.0000, 1.5000, 3, 1.5000, 500, 1500, 2.0000, 2.0000"
    )


def test_a_date_pattern_is_javas() -> None:
    assert date_formatter("dd.MM.yy 'at' H:mm", UTC)(1_700_000_000_000) == "14.11.2023 at 22:13"
