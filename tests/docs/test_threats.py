"""The threat model names tests that there are: a defence whose test is gone fails here."""

import re

import pytest

from tests.support.paths import ROOT

MODEL = (ROOT / "signalops" / "access" / "README.md").read_text()
ROWS = [line for line in MODEL.splitlines() if line.startswith("| ") and not line.startswith(("| asset", "| ---"))]
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)`", MODEL)))


@pytest.mark.parametrize("path", NAMED)
def test_every_test_that_the_threat_model_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_threat_has_a_defence_and_a_test() -> None:
    assert len(ROWS) > 15
    for row in ROWS:
        asset, threat, defence, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert asset
        assert threat
        assert defence
        assert re.search(r"`tests/", tests), row
