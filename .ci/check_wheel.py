"""Compare a wheel with the source tree: usage check_wheel.py WHEEL REPOSITORY."""

import sys
import tomllib
import zipfile
from pathlib import Path

wheel, repository = Path(sys.argv[1]), Path(sys.argv[2])
folders = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
expected = set()
for package, folder in folders.items():
    for source in (repository / folder).rglob("*.py"):
        expected.add(f"{package.replace('.', '/')}/{source.relative_to(repository / folder).as_posix()}")
expected.add("snnsim/py.typed")

with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
    top_level = next(
        archive.read(n).decode().split() for n in names if n.endswith(".dist-info/top_level.txt")
    )

problems = []
if top_level != ["snnsim"]:
    problems.append(f"top_level.txt holds {top_level}, expected only snnsim")
foreign = {n.split("/")[0] for n in names if not n.startswith("snnsim/") and ".dist-info/" not in n}
if foreign:
    problems.append(f"foreign entries: {sorted(foreign)}")
if missing := sorted(expected.difference(names)):
    problems.append(f"missing from the wheel: {missing}")
if surplus := sorted(n for n in names if n.endswith(".py") and n not in expected):
    problems.append(f"not in the source tree: {surplus}")
if problems:
    sys.exit("\n".join(problems))
print(f"{wheel.name}: {len(expected)} modules, one top level: snnsim")
