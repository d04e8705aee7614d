"""What the README and docs/ say of the code, held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from cluster.broker import api_table

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_table_of_apis_is_the_registry() -> None:
    assert api_table() in README, f"README's table of APIs is out of date; it should be:\n{api_table()}"


def test_the_table_of_scenarios_has_every_scenario() -> None:
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", README, flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))


def test_the_rooms_of_the_picture_are_the_folders() -> None:
    picture = README.split("```text")[1].split("```")[0]
    named = {word for line in picture.splitlines() for word in re.findall(r"[a-z]+", line.split("  ")[0])}
    folders = {path.name for path in (ROOT / "cluster").iterdir() if (path / "__init__.py").exists()}
    assert folders <= named


def test_every_link_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
    assert len(links) > len(pages)
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in README] == []
