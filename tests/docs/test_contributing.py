"""The contributor's guide names files that exist, and each place that a recipe leads to is where the thing is declared."""

import re

from signalops.config import Settings
from signalops.db.constraints import _PROBLEMS
from signalops.tenants.tenant_models import Settings as TenantSettings
from signalops.tenants.tenant_models import TenantIn, TenantPatch, TenantShown
from tests.support.paths import ROOT

FOLDER = ROOT / ".github"
GUIDE = (FOLDER / "CONTRIBUTING.md").read_text()


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert len(links) > 10
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_a_tenants_field_is_declared_once_for_making_and_changing_it() -> None:
    fields = TenantSettings.model_fields.keys()
    assert fields <= TenantIn.model_fields.keys() & TenantPatch.model_fields.keys() & TenantShown.model_fields.keys()
    assert not fields & {name for one in (TenantIn, TenantPatch) for name in vars(one).get("__annotations__", {})}
    query = (ROOT / "sql/queries/tenants.sql").read_text().partition("-- change-tenant:")[2]
    assert all(name in query for name in fields - {"rate_limit"})


def test_what_a_recipe_names_stands_there() -> None:
    declared = {
        "signalops/config.py": [*Settings.model_fields],
        "signalops/db/constraints.py": [*_PROBLEMS],
        "signalops/jobs.py": ["process_batch", "send_delivery", "tidy"],
        "signalops/rules/rule_endpoints.py": ["@endpoint"],
    }
    for file, names in declared.items():
        text = (ROOT / file).read_text()
        assert file in GUIDE
        assert [name for name in names if name not in text] == []
