"""The tests of a module are found from its name: the folders are the package's, and a file begins with what it tests."""

from pathlib import Path

from tests.support.paths import ROOT

TESTS, PACKAGE = ROOT / "tests", ROOT / "signalops"
OF_NO_MODULE = {"bench", "docs", "prove", "sql", "support"}


def mirrored() -> list[Path]:
    """Return the files with tests of modules."""
    files = (file.relative_to(TESTS) for file in TESTS.rglob("test_*.py"))
    return [file for file in files if file.parts[0] not in OF_NO_MODULE and file.name != Path(__file__).name]


def subjects(package: Path) -> set[str]:
    """Return what a package's tests may be named after: the package itself, its modules and the packages in it."""
    parts = [part for part in package.iterdir() if part.suffix == ".py" or (part / "__init__.py").exists()]
    return {package.name, *(part.stem for part in parts)}


def test_each_file_is_named_after_a_module_or_package() -> None:
    lost = []
    for file in mirrored():
        package = PACKAGE / file.parent
        named = file.stem.removeprefix("test_")
        names = subjects(package) if package.is_dir() else set()
        if not any(named == name or named.startswith(f"{name}_") for name in names):
            lost.append(str(file))
    assert lost == []


def test_each_package_has_tests() -> None:
    tested = {file.parent for file in mirrored()}
    packages = {file.parent.relative_to(PACKAGE) for file in PACKAGE.rglob("__init__.py")}
    without = [
        package
        for package in packages
        if package not in tested and not list((TESTS / package.parent).glob(f"test_{package.name}*.py"))
    ]
    assert without == []
