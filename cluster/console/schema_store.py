"""What a schema registry keeps: subjects, their versions, schemas by id, compatibility levels.

Here: Confluent's rules and error codes, without HTTP. Deleting a version hides it (`deleted`), deleting it for good
takes it out; the schema keeps its id, as records that carry it may still be around. Not here: whether two schemas are
compatible (`schema_evolution`), and the REST paths (`schema_service`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from cluster.console.schema_evolution import reading_problems
from cluster.console.serialisation import load_schema
from cluster.lab.errors import LabError

LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
DEFAULT_LEVEL = "BACKWARD"
KINDS = {"AVRO": "avro", "JSON": "json", "PROTOBUF": "protobuf"}


class RegistryError(Exception):
    """An error with Confluent's code; its first three digits are the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Version:
    """A schema under a subject."""

    number: int
    schema_id: int
    is_deleted: bool = False


class SchemaStore:
    """Everything, in memory; `to_json` and `from_json` are how it is kept."""

    def __init__(self) -> None:
        self._schemas: dict[int, tuple[str, str]] = {}
        self._subjects: dict[str, list[Version]] = {}
        self._levels: dict[str, str] = {}
        self._level = DEFAULT_LEVEL

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Return the subjects that have a version."""
        return sorted(name for name in self._subjects if self._versions(name, deleted))

    def versions(self, subject: str, *, deleted: bool = False) -> list[int]:
        """Return the numbers of a subject's versions. Raises RegistryError."""
        return [version.number for version in self._known(subject, deleted)]

    def schema(self, schema_id: int) -> tuple[str, str]:
        """Return kind and text of a schema. Raises RegistryError."""
        if schema_id not in self._schemas:
            raise RegistryError(40403, f"Schema {schema_id} not found")
        return self._schemas[schema_id]

    def places(self, schema_id: int) -> list[tuple[str, int]]:
        """Return the subjects and versions that have a schema. Raises RegistryError."""
        self.schema(schema_id)
        return [
            (subject, version.number)
            for subject in self.subjects()
            for version in self._versions(subject, False)
            if version.schema_id == schema_id
        ]

    def version(self, subject: str, number: str, *, deleted: bool = False) -> Version:
        """Return a version by its number, or `latest`. Raises RegistryError."""
        versions = self._known(subject, deleted)
        if number in ("latest", "-1"):
            return versions[-1]
        if not number.isdigit() or int(number) < 1:
            raise RegistryError(
                42202,
                f"The specified version '{number}' is not a valid version id. "
                'Allowed values are between [1, 2^31-1] and the string "latest"',
            )
        for version in versions:
            if version.number == int(number):
                return version
        raise RegistryError(40402, f"Version {number} not found.")

    def register(self, subject: str, kind: str, text: str) -> Version:
        """Add a schema as the subject's next version, unless it is one already. Raises RegistryError."""
        canonical = _canonical(kind, text)
        for version in self._versions(subject, False):
            if self._schemas[version.schema_id] == (kind, canonical):
                return version
        problems = self.problems(subject, kind, canonical)
        if problems:
            raise RegistryError(
                409,
                f'Schema being registered is incompatible with an earlier schema for subject "{subject}", '
                f"details: {problems}",
            )
        known = next((each for each, schema in self._schemas.items() if schema == (kind, canonical)), None)
        schema_id = max(self._schemas, default=0) + 1 if known is None else known
        self._schemas[schema_id] = (kind, canonical)
        before = self._subjects.setdefault(subject, [])
        version = Version(before[-1].number + 1 if before else 1, schema_id)
        before.append(version)
        return version

    def find(self, subject: str, kind: str, text: str, *, deleted: bool = False) -> Version:
        """Return the version of a subject that has this schema. Raises RegistryError."""
        canonical = _canonical(kind, text)
        for version in self._known(subject, deleted):
            if self._schemas[version.schema_id] == (kind, canonical):
                return version
        raise RegistryError(40403, "Schema not found")

    def problems(self, subject: str, kind: str, text: str, number: str | None = None) -> list[str]:
        """Return why a schema may not follow the subject's versions, or the one with this number, at its level."""
        level = self.level(subject) or self._level
        earlier = self._versions(subject, False)
        if number is not None:
            earlier = [self.version(subject, number)]
        elif not level.endswith("_TRANSITIVE"):
            earlier = earlier[-1:]
        canonical = _canonical(kind, text)
        found: list[str] = []
        if level == "NONE":
            return found
        for version in reversed(earlier):
            other_kind, other = self._schemas[version.schema_id]
            if other_kind != kind:
                found.append(f"version {version.number} is {other_kind}, not {kind}")
                continue
            if level.startswith(("BACKWARD", "FULL")):
                found += reading_problems(kind, canonical, other)
            if level.startswith(("FORWARD", "FULL")):
                found += reading_problems(kind, other, canonical)
        return found

    def delete_version(self, subject: str, number: str, *, permanent: bool) -> int:
        """Hide a version, or when it is hidden take it out. Raises RegistryError."""
        version = self.version(subject, number, deleted=permanent)
        if permanent and not version.is_deleted:
            raise RegistryError(
                40407,
                f"Subject '{subject}' Version {version.number} was not deleted first before being permanently deleted",
            )
        kept = [each for each in self._subjects[subject] if each != version]
        hidden = [] if permanent else [replace(version, is_deleted=True)]
        self._subjects[subject] = sorted([*kept, *hidden], key=lambda each: each.number)
        return version.number

    def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete all versions of a subject; return their numbers. Raises RegistryError."""
        if permanent and self._versions(subject, False):
            raise RegistryError(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
        numbers = self.versions(subject, deleted=permanent)
        for number in numbers:
            self.delete_version(subject, str(number), permanent=permanent)
        if permanent:
            del self._subjects[subject]
        return numbers

    def level(self, subject: str | None) -> str | None:
        """Return the compatibility level of a subject, None when it has none of its own; or everybody's."""
        return self._level if subject is None else self._levels.get(subject)

    def set_level(self, subject: str | None, level: str) -> None:
        """Set it. Raises RegistryError."""
        if level.upper() not in LEVELS:
            raise RegistryError(42203, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        if subject is None:
            self._level = level.upper()
        else:
            self._levels[subject] = level.upper()

    def reset_level(self, subject: str | None) -> None:
        """Go back to what holds without it."""
        if subject is None:
            self._level = DEFAULT_LEVEL
        else:
            self._levels.pop(subject, None)

    def to_json(self) -> dict[str, Any]:
        """Return everything, as JSON can hold it."""
        return {
            "schemas": [[number, *schema] for number, schema in self._schemas.items()],
            "subjects": {
                name: [[each.number, each.schema_id, each.is_deleted] for each in versions]
                for name, versions in self._subjects.items()
            },
            "levels": self._levels,
            "level": self._level,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> SchemaStore:
        """Return what `to_json` was made of. Raises KeyError, ValueError, TypeError for anything else."""
        store = cls()
        store._schemas = {int(number): (kind, text) for number, kind, text in content["schemas"]}
        store._subjects = {name: [Version(*each) for each in rows] for name, rows in content["subjects"].items()}
        store._levels = dict(content["levels"])
        store._level = content["level"]
        return store

    def _versions(self, subject: str, deleted: bool) -> list[Version]:
        return [version for version in self._subjects.get(subject, []) if deleted or not version.is_deleted]

    def _known(self, subject: str, deleted: bool) -> list[Version]:
        versions = self._versions(subject, deleted)
        if not versions:
            raise RegistryError(40401, f"Subject '{subject}' not found.")
        return versions


def _canonical(kind: str, text: str) -> str:
    """Return a valid schema's text, without what makes no difference. Raises RegistryError(42201)."""
    if kind not in KINDS:
        _refuse(f"there is no schema type {kind}")
    try:
        load_schema(KINDS[kind], text, None)
        return text.strip() if kind == "PROTOBUF" else json.dumps(json.loads(text), separators=(",", ":"))
    except (LabError, ValueError) as error:
        _refuse(error.cause if isinstance(error, LabError) else str(error))


def _refuse(reason: str) -> NoReturn:
    raise RegistryError(42201, f"Invalid schema: {reason}")
