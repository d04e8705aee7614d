"""Lines that are no history are refused by their number, with what is wrong and what would be right."""

from __future__ import annotations

import json
import re

import pytest

from cluster.checks.history import HistoryError, HistoryReader
from tests.checks.histories import lines_of, poll, send

BEGUN = '{"time_us": 1, "process": "p1", "type": "invoke", "operation": "send", "send": [["k", "a"]]}'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ("{}", "'process' must name the client, not None"),
        ('{"process": "p", "type": "done"}', "'type' must be invoke, ok, fail, unknown or setting, not 'done'"),
        ('{"process": "p", "type": "ok"}', "p ends an operation that it did not begin"),
        ('{"process": "p", "type": "ok", "id": 7}', "p (id 7) ends an operation that it did not begin"),
        ('{"process": "p", "type": "invoke", "operation": "read"}', "'operation' must be one of send, poll"),
        ('{"process": "p", "type": "invoke", "operation": "poll"}', "'time_us' must be a whole number"),
        ('{"process": "p", "type": "invoke", "operation": "send", "time_us": 1}', 'a send needs "send"'),
        (BEGUN, "p1 begins an operation before its last one ended; give each an 'id'"),
        (
            '{"process": "p1", "type": "ok", "time_us": 2, "send": [["k"]]}',
            "a send is [key, value] or [key, value, off",
        ),
        ('{"process": "p1", "type": "ok", "time_us": 2, "send": {}}', "'send' must be a list"),
        ('{"process": "p1", "type": "ok", "time_us": 2, "send": [["k", "b", 0]]}', "p1 did not begin to send 'b' to k"),
        ('{"process": "p1", "type": "ok", "time_us": 2, "pol": {}}', "unknown field 'pol'; did you mean poll?"),
        ('{"process": "p1", "type": "ok", "time_us": 2, "final": "yes"}', "'final' must be true or false, not 'yes'"),
        ("[" * 100_000, "is not a history: it is nested too deeply"),
        ('{"process": "p1", "type": "ok", "time_us": 2, "poll": []}', "'poll' must be an object"),
        ('{"process": "p1", "type": "ok", "time_us": 2, "poll": {"k": 1}}', "what k gave must be a list"),
        (
            '{"process": "p1", "type": "ok", "time_us": 2, "poll": {"k": [["a", 0]]}}',
            "a record of k is [offset, value]",
        ),
        ('{"process": "p1", "type": "ok", "time_us": 2, "rebalanced": "k"}', "'rebalanced' must be a list"),
        ('{"process": "p1", "type": "ok", "operation": "poll", "time_us": 2}', "p1 began 'send' and ends 'poll'"),
    ],
)
def test_a_malformed_line_is_named_by_its_number(line: str, problem: str) -> None:
    with pytest.raises(HistoryError, match=f"line 3: {re.escape(problem)}"):
        list(HistoryReader().read([BEGUN, "\n", line]))


def test_sends_under_way_at_one_time_are_told_apart_by_their_ids() -> None:
    rows = [*send("p1", "a", 0), *send("p1", "b", 1)]
    rows = [rows[0] | {"id": 1}, rows[2] | {"id": 2}, rows[3] | {"id": 2}, rows[1] | {"id": 1}]
    assert [one.sends[0][1] for one in HistoryReader().read(lines_of(rows))] == ["b", "a"]


def test_what_never_ended_is_unknown() -> None:
    (left,) = HistoryReader().read(lines_of(send("p1", "a", 0)[:1]))
    assert (left.outcome, left.is_open) == ("unknown", True)


def test_info_is_what_jepsen_calls_unknown() -> None:
    (left,) = HistoryReader().read(lines_of(send("p1", "a", None, how="info")))
    assert left.outcome == "unknown"


def test_the_setting_is_kept_for_whoever_judges() -> None:
    reader = HistoryReader()
    setting = {"type": "setting", "clients": {"p1": {"acks": "1"}}}
    assert len(list(reader.read([json.dumps(setting), *lines_of(poll("c", (0, "a")))]))) == 1
    assert reader.setting == setting


def test_a_second_setting_does_not_take_the_place_of_the_first() -> None:
    with pytest.raises(HistoryError, match="line 2: there is a setting already"):
        list(HistoryReader().read(['{"type": "setting"}', '{"type": "setting"}']))


def test_fields_of_other_tools_may_stand_beside_ours() -> None:
    row = send("p1", "a", 0)[0] | {"node": "b1", "error": "none"}
    assert len(list(HistoryReader().read(lines_of([row])))) == 1
