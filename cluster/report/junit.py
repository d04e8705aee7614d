"""A run as JUnit XML, the one format that every continuous integration reads: a suite a variant, a case a check.

A check that came out otherwise than expected is a failure, one that is unknown is skipped with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from cluster.report.result import RunResult

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, not even escaped (XML 1.0, section 2.2)."""


def junit_xml(results: Sequence[RunResult]) -> str:
    """Return one document for the runs of one command."""
    root = ElementTree.Element("testsuites", name=_text(results[0].scenario) if results else "fencepost")
    for result in results:
        suite = ElementTree.SubElement(root, "testsuite", name=_text(_name(result)))
        failures = skipped = 0
        for check in result.checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_text(_name(result)), name=_text(f"{check.id}: {check.statement}")
            )
            if check.is_as_expected:
                continue
            message = f"{check.outcome}, expected {check.expected}: {check.detail}"
            is_unknown = check.outcome == "unknown"
            found = ElementTree.SubElement(case, "skipped" if is_unknown else "failure", message=_text(message))
            found.text = _text("\n".join((*check.violations, f"replay: {result.replay}")))
            skipped += is_unknown
            failures += not is_unknown
        counts = {"tests": len(result.checks), "failures": failures, "skipped": skipped, "time": result.wall_s}
        suite.attrib.update({key: str(value) for key, value in counts.items()})
        properties = ElementTree.Element("properties")
        for key in ("seed", "target", "verdict", "replay", "trace_hash"):
            ElementTree.SubElement(properties, "property", name=key, value=_text(str(getattr(result, key))))
        suite.insert(0, properties)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _name(result: RunResult) -> str:
    return result.scenario if result.variant is None else f"{result.scenario}[{result.variant}]"


def _text(text: str) -> str:
    return _NOT_XML.sub("�", text)
