"""The YAML of a scenario before it means anything: reading it, patching it, overriding parts of it.

Here: a loader without the traps of YAML 1.1, merge-patch (RFC 7396) that finds items of lists by their `id`, and
`--set path/with/slashes=value`; on which line something is. Not here: what the keys mean (`schema`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import yaml

from cluster.lab.selectors import did_you_mean
from cluster.scenario.errors import ScenarioError

Document = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain words: `on`, `no`, `1:30`, `010` and `4.10` stay the text that was written."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> Document:
    loader.flatten_mapping(node)
    mapping: Document = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        where = f"line {key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise ScenarioError([f"{where}: the key {key!r} must be a word"])
        if key in mapping:
            raise ScenarioError([f"{where}: the key {key!r} is there twice"])
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def read_document(text: str) -> Document:
    """Read one YAML mapping; a key of it with nothing behind it counts as left out.

    Raises ScenarioError with the line for what is no YAML or no mapping.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ScenarioError([_not_yaml(error)]) from None
    if not isinstance(document, dict):
        raise ScenarioError(["a scenario is a mapping that begins with lab: v1"])
    return {key: value for key, value in document.items() if value is not None}


def _not_yaml(error: yaml.YAMLError) -> str:
    """Say on one line where YAML ends."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"this is not YAML: {error}"
    return f"this is not YAML: line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', error)}"


def locate(text: str, path: Sequence[str]) -> tuple[int, int | None]:
    """Return how many parts of a path a YAML text has, and the line, from 1, of the last of them.

    Items of lists are found by their id or their number.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return 0, None
    line = None
    for depth, part in enumerate(path):
        found = _child(node, part)
        if found is None:
            return depth, line
        mark, node = found
        line = mark.line + 1
    return len(path), line


def _child(node: yaml.Node | None, part: str) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            named = _child(item, "id")
            if part == (str(number) if named is None else named[1].value):
                return item.start_mark, item
    return None


def read_value(text: str) -> Any:
    """Read the value of an override as YAML: a number, a word, a list, null."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ScenarioError([f"{text!r}: {_not_yaml(error)}"]) from None


def patched(document: Any, patch: Any) -> Any:
    """Return a document with a merge-patch applied; null deletes; a mapping over a list patches its items by id.

    Raises ScenarioError when a patch names an id that the list does not have.
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if isinstance(document, list):
        return _patched_list(document, patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def _patched_list(items: list[Any], patch: Document) -> list[Any]:
    ids = [item.get("id") if isinstance(item, dict) else None for item in items]
    for key in patch:
        if key not in ids:
            known = [name for name in ids if isinstance(name, str)]
            raise ScenarioError([f"a patch names {key!r}, which is not there{did_you_mean(key, known)}"])
    kept = [item for item, name in zip(items, ids, strict=True) if name not in patch or patch[name] is not None]
    return [patched(item, patch[item["id"]]) if item.get("id") in patch else item for item in kept]


def with_override(document: Document, assignment: str) -> Document:
    """Apply one `path/with/slashes=value`; slashes because Kafka's config names hold dots. Raises ScenarioError."""
    path, equals, value = assignment.partition("=")
    if not equals or not path.strip("/"):
        raise ScenarioError([f"--set {assignment!r}: write a path with slashes, =, and a value"])
    patch: Any = read_value(value)
    for part in reversed(path.strip("/").split("/")):
        patch = {part: patch}
    result: Document = patched(document, patch)
    return result
