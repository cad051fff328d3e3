"""The pages lead to one another and to the code: links, files and anchors that are named exist, and the first page is short."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = [
    page
    for folder in (ROOT, ROOT / "signalops", ROOT / "sql", ROOT / "tests", ROOT / ".github")
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_first_page_is_short_and_leads_to_every_other() -> None:
    first = (ROOT / "README.md").read_text()
    assert first.count("\n") <= 150
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", first)}
    assert [named(page) for page in PAGES if page.resolve() not in linked and page != ROOT / "README.md"] == []


def test_every_file_and_function_of_the_architecture_exists() -> None:
    page = (ROOT / "signalops/README.md").read_text()
    files = set(re.findall(r"`([\w/.]+\.(?:py|sql|md|toml))`", page))
    assert len(files) > 30
    bases = (ROOT, ROOT / "signalops", ROOT / "signalops" / "send" / "channels")
    assert [file for file in files if not any((base / file).is_file() for base in bases)] == []
    schema = (ROOT / "sql/schema.sql").read_text()
    functions = set(re.findall(r"`signalops\.(\w+)`", page))
    assert [name for name in functions if f"FUNCTION signalops.{name}(" not in schema] == []
    code = "".join(file.read_text() for file in (ROOT / "signalops").rglob("*.py"))
    for name in re.findall(r"`(?:[A-Z]\w+\.)?(\w+)`", page.partition("## Where")[0]):
        assert name in code or name.startswith("procrastinate_"), name
