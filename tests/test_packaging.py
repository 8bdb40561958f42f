"""The distribution: the folders, the guards, what an import loads, and the promises of the README."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = ["snn", "kernels", "examples", "converters", "hardware", "experiments", "cli"]
NEVER_AT_START = ["torch", "matplotlib", "sklearn", "brian2", "nest", "typer"]


def run_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)


def packages_on_disk() -> dict[str, str]:
    """Package name -> folder, for every folder that holds a Python file."""
    found = {}
    for folder in FOLDERS:
        top = "snnsim" if folder == "snn" else f"snnsim.{folder}"
        for path in sorted({file.parent for file in (ROOT / folder).rglob("*.py")}):
            inner = path.relative_to(ROOT / folder).parts
            found[".".join([top, *inner])] = "/".join([folder, *inner])
    return found


def test_every_folder_with_code_is_a_listed_package():
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages_on_disk())


def test_every_package_maps_to_its_folder():
    mapped = SETUPTOOLS["package-dir"]
    for package, folder in packages_on_disk().items():
        top = next(
            name for name in sorted(mapped, key=len, reverse=True) if f"{package}.".startswith(f"{name}.")
        )
        inner = package.removeprefix(top).strip(".").replace(".", "/")
        assert f"{mapped[top]}/{inner}".strip("/") == folder


def test_every_package_has_an_init():
    assert [
        folder for folder in packages_on_disk().values() if not (ROOT / folder / "__init__.py").is_file()
    ] == []


def test_names_version_and_licence():
    assert PROJECT["project"]["name"] == "snnsim"
    assert list(PROJECT["project"]["scripts"]) == ["snnsim"]
    assert (ROOT / "snn" / "py.typed").is_file()
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert f"## [{PROJECT['project']['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_data_files_in_packages_are_declared():
    """A template that is not listed would be missing from the wheel only."""
    declared = {
        path
        for package, patterns in SETUPTOOLS.get("package-data", {}).items()
        for pattern in patterns
        for path in (ROOT / packages_on_disk()[package]).glob(pattern)
    }
    present = {
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix != ".py"
        and "__pycache__" not in path.parts
        and path.name != "README.md"
    }
    assert present - declared == set()


def test_import_snnsim_is_light(tmp_path):
    code = (
        "import json, sys, time; began = time.perf_counter(); import snnsim; "
        "print(json.dumps([time.perf_counter() - began, sorted(sys.modules), snnsim.__file__]))"
    )
    result = run_python(code, tmp_path)
    assert result.returncode == 0, result.stderr
    seconds, modules, _ = json.loads(result.stdout)
    print(f"import snnsim: {seconds * 1000:.0f} ms")  # the benchmark is benchmarks/startup.py
    assert [name for name in NEVER_AT_START if name in modules] == []


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_folders_refuse_to_be_imported_by_their_bare_name(folder):
    result = run_python(f"import {folder}", ROOT)
    assert result.returncode != 0
    assert f"ImportError: import snnsim.{folder}, not {folder}" in result.stderr


def test_snnsim_is_importable_from_the_repository_root():
    result = run_python("import snnsim.kernels; print(snnsim.kernels.__name__)", ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "snnsim.kernels"


def test_constraints_pin_what_is_installed_and_required():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9A-Za-z.]+", line), line
            name, version = line.split("==")
            pins[normal(name)] = version
    assert pins["torch"] == "2.13.0"
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["lint"]]
    assert [name for name in map(normal, wanted) if name not in pins] == []


def normal(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].replace("_", "-").replace(".", "-").lower()


def test_commands_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    used = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= used
    assert used - targets == set()


def test_links_of_the_documents_exist():
    missing = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in link and not (page.parent / link).exists():
                missing.append(f"{page.relative_to(ROOT)} -> {link}")
    assert missing == []


def test_version_is_the_same_everywhere():
    import snnsim

    assert snnsim.__version__ == PROJECT["project"]["version"]


def test_exit_codes_of_the_architecture_page():
    from snnsim.errors import ExitCode

    page = (ROOT / "docs" / "architecture.md").read_text().split("## Errors and exit codes")[1]
    documented = {int(code) for code in re.findall(r"\| (\d+) \|", page)}
    assert documented == {int(code) for code in ExitCode}
