"""Releases beside this one: their trees, and their commands as processes of their own."""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from shutil import copytree

import pytest

from signalops import db
from signalops.config import Settings
from tests.support.paths import ROOT


class Release:
    """A tree of SignalOps, with the packages that are installed here."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def local_settings(self) -> dict[str, str]:
        """Return the variables that let this release send to this machine, by its own names of settings."""
        program = "import json; from signalops.config import ON_ONE_MACHINE; print(json.dumps(ON_ONE_MACHINE))"
        environment = {**os.environ, "PYTHONPATH": str(self.tree)}
        printed = subprocess.run([sys.executable, "-c", program], env=environment, cwd=self.tree, check=True, capture_output=True)
        variables: dict[str, str] = json.loads(printed.stdout)
        return variables

    def run(self, settings: Settings, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        environment = {**os.environ, "DATABASE_URL": db.admin_url(settings), "PYTHONPATH": str(self.tree)}
        return subprocess.run(
            [sys.executable, "-m", "signalops", *command],
            env=environment | {"SIGNALOPS_DATA": str(settings.data)},
            cwd=self.tree,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def before(folder: Path) -> Release:
    """Return the release before: of the last commit with other SQL, or what RELEASE names.

    Nothing is released: a commit may still rewrite migrations, and then its database is nobody's to upgrade.
    """
    try:
        changed = _git("log", "--format=%H", "--", "sql/migrations", "sql/functions").decode().split()
    except subprocess.CalledProcessError:
        pytest.skip("this is no checkout: there is no release before")
    assert len(changed) > 1, "the history is shallow: run `git fetch --unshallow`, as .ci/run does"
    rewritten = _git("diff", "--name-only", "--diff-filter=MDR", f"{changed[0]}^", "--", "sql/migrations")
    commit = os.environ.get("RELEASE") or (changed[0] if rewritten else f"{changed[0]}^")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit, "signalops", "sql"))) as tree:
        tree.extractall(folder, filter="data")
    return Release(folder)


def after(folder: Path, without: str = "", **migrations: str) -> Release:
    """Return a release to come: this one with more migrations, by their names with _ for the point and dashes.

    without: a view that it has no longer.
    """
    for part in ("signalops", "sql"):
        copytree(ROOT / part, folder / part)
    for name, text in migrations.items():
        number, _, words = name.removeprefix("m").partition("_")
        file = folder / "sql" / "migrations" / f"{number}.{words.replace('_', '-')}.sql"
        file.write_text(text)
        file.with_name(f"{file.stem}.rollback.sql").write_text("-- Nothing.\nselect 1;\n")
    if without:
        grants = folder / "sql" / "grants.sql"
        grants.write_text(grants.read_text().replace(f"{without}, ", ""))
        for file in (folder / "sql" / "functions").rglob("*.sql"):
            file.write_text("".join(part for part in re.split(r"(?m)^(?=create )", file.read_text()) if without not in part))
    return Release(folder)


def _git(*arguments: str) -> bytes:
    # Whoever owns the checkout: nothing in it is run by this.
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
