"""The catalogue of faults is the one source: language, commands and documentation say the same as it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from cluster.cli.break_ import _command
from cluster.lab.api_names import check_apis
from cluster.lab.catalogue import BY_VERB, CATALOGUE, OPTIONS, FaultKind, markdown
from cluster.scenario import ScenarioError, json_schema, make_plan, read_document
from cluster.scenario.document import Document

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
lab: v1
name: each-fault
cluster: {brokers: 3, controllers: 1, topics: {orders: {partitions: 1, replication-factor: 3}}}
clients: {p1: {produce: orders}}
steps:
  - {id: first, at: 1s, kill: b1, as: victim}
  - {id: example, at: 2s, %s}
"""


def example_of(kind: FaultKind) -> Document:
    return read_document(HEAD % kind.example.removeprefix("{").removesuffix("}" if kind.example[0] == "{" else ""))


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.verb)
def test_each_example_is_a_step_of_the_language(kind: FaultKind) -> None:
    document = example_of(kind)
    step = make_plan(document).steps[1]
    assert step.verb == kind.verb
    jsonschema.validate(document, json_schema())


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE if kind.needs], ids=lambda kind: kind.verb)
def test_a_fault_that_would_do_nothing_is_refused(kind: FaultKind) -> None:
    document = example_of(kind)
    for name in kind.needs:
        document["steps"][1].pop(name, None)
    with pytest.raises(ScenarioError, match=f"{kind.verb} needs {kind.needs[0]}"):
        make_plan(document)


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.verb)
def test_options_of_other_faults_are_refused(kind: FaultKind) -> None:
    values = {"apis": ["Fetch"], "count": 3, "bandwidth": "1KB/s"}
    wrong = next(name for name in values if name not in kind.options)
    document = example_of(kind)
    document["steps"][1][wrong] = values[wrong]
    with pytest.raises(ScenarioError, match=f"{wrong} is no option of {kind.verb}"):
        make_plan(document)


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.verb)
def test_only_what_can_be_undone_can_last_a_while(kind: FaultKind) -> None:
    document = example_of(kind)
    document["steps"][1]["for"] = "2s"
    if kind.is_lasting:
        make_plan(document)
    else:
        with pytest.raises(ScenarioError, match="no undo"):
            make_plan(document)


def test_every_option_belongs_to_a_fault_and_every_need_is_an_option() -> None:
    used = [name for kind in CATALOGUE for name in kind.options]
    assert sorted(OPTIONS) == sorted(dict.fromkeys(used))
    assert all(name in kind.options for kind in CATALOGUE for name in kind.needs)
    assert len(BY_VERB) == len(CATALOGUE)


def test_the_documentation_has_the_table() -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    assert markdown() in text, f"docs/faults.md is out of date; its table should be:\n{markdown()}"


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE if kind.group != "operation"], ids=lambda kind: kind.verb)
def test_the_command_of_a_fault_has_its_options(kind: FaultKind) -> None:
    names = list(_command(kind).__annotations__)
    assert [name for name in names if name in OPTIONS] == list(kind.options)
    assert ("for_" in names) is kind.is_lasting


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_scenarios_are_valid_by_the_json_schema(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    jsonschema.validate(document, json.loads(json.dumps(json_schema())))


def test_the_json_schema_refuses_unknown_keys() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"lab": "v1", "name": "x", "stepps": []}, json_schema())


def test_a_fault_can_name_every_call_between_nodes_and_none_of_the_labs_own() -> None:
    services: dict[str, list[str]] = {}
    for file in sorted((ROOT / "proto" / "cluster" / "rpc").glob("*.proto")):
        for name, body in re.findall(r"^service (\w+) \{(.*?)^\}", file.read_text(), re.MULTILINE | re.DOTALL):
            services[name] = re.findall(r"^  rpc (\w+)\(", body, re.MULTILINE)
    own = [services.pop(name) for name in ("Inspect", "Lab")]
    assert len(services) >= 5
    check_apis([method for methods in services.values() for method in methods])
    for method in (method for methods in own for method in methods):
        with pytest.raises(ValueError, match="unknown API"):
            check_apis([method])
