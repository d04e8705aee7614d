"""What the admin client answers becomes the facts that are printed."""

from __future__ import annotations

from types import SimpleNamespace

from cluster.console.config_calls import ConfigCalls, Entity
from cluster.console.group_calls import End, GroupCalls
from cluster.console.group_offsets import Target, new_offsets
from cluster.console.group_text import Place
from cluster.console.topic_calls import TopicCalls


def future(value: object) -> SimpleNamespace:
    return SimpleNamespace(result=lambda: value)


class FakeAdmin:
    """Answers as confluent-kafka's AdminClient does, with one topic of one partition."""

    def describe_topics(self, topics: object, **_: object) -> dict[str, object]:
        nobody = SimpleNamespace(id=-1)
        nodes = [SimpleNamespace(id=number) for number in (2, 3, 1)]
        partition = SimpleNamespace(id=0, leader=nobody, replicas=nodes, isr=nodes[:1])
        return {"t": future(SimpleNamespace(name="t", topic_id="a+b/cw==", partitions=[partition]))}

    def describe_configs(self, resources: list[object], **_: object) -> dict[object, object]:
        synonym = SimpleNamespace(name="min.insync.replicas", value="1", source=5)
        entries = {
            "segment.ms": SimpleNamespace(value="7", is_default=True),
            "min.insync.replicas": SimpleNamespace(
                name="min.insync.replicas", value="2", is_default=False, source=1, is_sensitive=False,
                synonyms={"min.insync.replicas": synonym},
            ),
            "cleanup.policy": SimpleNamespace(value="compact", is_default=False),
        }  # fmt: skip
        if "asked" in vars(self):
            entries = {"min.insync.replicas": entries["min.insync.replicas"]}
        return {resource: future(entries) for resource in resources}


def test_a_topic_has_kafkas_id_no_leader_and_only_the_configs_that_differ() -> None:
    (topic,) = TopicCalls(FakeAdmin(), 1_000).describe(["t"])
    assert topic.topic_id == "a-b_cw"
    assert topic.partitions[0].leader is None
    assert topic.partitions[0].replicas == (2, 3, 1)
    assert dict(topic.configs) == {"cleanup.policy": "compact", "min.insync.replicas": "2"}
    assert topic.min_isr == 2


def test_the_value_in_force_is_among_the_synonyms_though_the_client_lost_it() -> None:
    admin = FakeAdmin()
    admin.asked = True
    (setting,) = ConfigCalls(admin, 1_000).settings(Entity("topics", "t"))
    assert setting.synonyms == ((1, "min.insync.replicas", "2"), (5, "min.insync.replicas", "1"))


class Logs(GroupCalls):
    """Logs from 10 to 20 in partition 0, empty at 5 in partition 1; the group has committed 15 in partition 0."""

    def __init__(self) -> None:
        pass

    def committed(self, name: str) -> dict[Place, int]:
        return {("t", 0): 15}

    def ends(self, places: object, end: End) -> dict[Place, int]:
        known = {("t", 0): (10, 20), ("t", 1): (5, 5)}
        return {place: known[place][end is End.LATEST] for place in places}

    def _offsets(self, places: object, spec: object) -> dict[Place, int]:
        return {("t", 0): 12, ("t", 1): -1}


def test_a_group_is_moved_within_its_logs() -> None:
    places = [("t", 0), ("t", 1)]
    warned: list[str] = []

    def moved(target: Target, chosen: list[Place] = places) -> list[int]:
        return list(new_offsets(Logs(), "g", chosen, target, warned.append).values())

    assert moved(Target(end=End.EARLIEST)) == [10, 5]
    assert moved(Target(end=End.LATEST)) == [20, 5]
    assert moved(Target(current=True)) == [15, 5]
    assert moved(Target(plan={"g": {("t", 0): 11}})) == [11]
    assert warned == []
    assert moved(Target(time_ms=1)) == [12, 5]
    assert moved(Target(offset=30)) == [20, 5]
    assert moved(Target(shift=-100), [("t", 0)]) == [10]
    assert warned == [
        "Warn: Partition 1 from topic t is empty. Falling back to latest known offset.",
        "New offset (30) is higher than latest offset for topic partition t-0. Value will be set to 20",
        "New offset (30) is higher than latest offset for topic partition t-1. Value will be set to 5",
        "New offset (-85) is lower than earliest offset for topic partition t-0. Value will be set to 10",
    ]
