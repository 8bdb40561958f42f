"""Rules over the syntax tree of the shipped code: who imports whom, and what is never written."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each may use those to its left; the examples only what a user has, snnsim itself.
ORDER = ["kernels", "snn", "examples", "converters", "hardware", "experiments", "cli"]
SOURCES = sorted(path for folder in ORDER for path in (ROOT / folder).rglob("*.py"))

# Beside numpy and Numba only what names types and constants; llvmlite is the IR of Numba intrinsics.
KERNEL_IMPORTS = {"__future__", "collections", "math", "typing", "numpy", "numba", "llvmlite", "sys"}
LATE_IMPORTS = {"torch", "snntorch", "onnx", "nir", "brian2", "nest", "mpi4py", "optuna", "dask", "flwr"}
LATE_IMPORTS |= {"matplotlib", "sklearn"}
BANNED_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "dill", "shelve", "cloudpickle"}
BANNED_KEYWORDS = {"allow_pickle": True, "shell": True, "fastmath": True, "parallel": True}
REQUIRED_KEYWORDS = {"torch.load": ("weights_only", True)}
BANNED_CALLS = {"eval", "exec", "joblib.load", "yaml.load", "os.system", "os.popen", "prange", "numba.prange"}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute chain, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and dotted(node.test).split(".")[-1] == "TYPE_CHECKING"


def imported(node: ast.AST) -> list[str]:
    """The full names that one node imports; a relative import is given as '.'."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            return ["."]
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in {"import_module", "__import__"}:
        return [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return []


def at_import_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not is_type_checking(
            node
        ):
            yield node
            yield from at_import_time(node)


def folder_of(name: str) -> str:
    """The folder of this project that a full import name lies in, or the empty string."""
    first, *rest = name.split(".")
    if first != "snnsim":
        return first if first in ORDER else ""
    return rest[0] if rest and rest[0] in ORDER else "snn"


def import_faults(tree: ast.AST, folder: str) -> list[str]:
    faults = []
    for node in ast.walk(tree):
        for name in imported(node):
            line = getattr(node, "lineno", 0)
            top, target = name.split(".")[0], folder_of(name)
            if name == ".":
                faults.append(f"{line}: relative import; write snnsim.…")
            elif top in ORDER:
                faults.append(f"{line}: {name} by its bare name; write snnsim.…")
            elif target and ORDER.index(target) > ORDER.index(folder):
                faults.append(f"{line}: {folder} must not import {name}")
            elif folder == "examples" and target == "kernels":
                faults.append(f"{line}: examples must not import {name}")
            elif folder == "kernels" and not target and top not in KERNEL_IMPORTS:
                faults.append(f"{line}: kernels must not import {name}")
    for node in at_import_time(tree):
        for name in imported(node):
            if name.split(".")[0] in LATE_IMPORTS:
                faults.append(f"{node.lineno}: import {name} inside the function that needs it")
    return faults


def banned_call(node: ast.Call) -> list[str]:
    name = dotted(node.func)
    faults = [f"{name}()"] if name in BANNED_CALLS else []
    given = {k.arg: k.value for k in node.keywords if k.arg}
    for keyword, value in given.items():
        harmless = isinstance(value, ast.Constant) and not value.value
        if keyword in BANNED_KEYWORDS and not harmless:
            faults.append(f"{keyword}= anything but False")
    if name in REQUIRED_KEYWORDS:
        keyword, wanted = REQUIRED_KEYWORDS[name]
        value = given.get(keyword)
        if not (isinstance(value, ast.Constant) and value.value is wanted):
            faults.append(f"{name} without {keyword}={wanted}")
    if name.split(".")[-1] == "extractall" and "filter" not in given:
        faults.append("extractall without filter")
    if name.split(".")[-1] == "suppress":
        wide = {dotted(a) for a in node.args} & {"Exception", "BaseException"}
        faults.extend(f"suppress({w})" for w in sorted(wide))
    return faults


def says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def style_faults(tree: ast.AST) -> list[str]:
    faults = []
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Assert):
            found = ["assert: python -O removes it; raise an error of snnsim.errors"]
        elif isinstance(node, ast.ExceptHandler):
            if node.type is None:
                found.append("bare except")
            if all(says_nothing(s) for s in node.body):
                found.append("except that passes")
        elif isinstance(node, ast.Call):
            found = banned_call(node)
        found += [f"import {n}" for n in imported(node) if n.split(".")[0] in BANNED_MODULES]
        faults += [f"{getattr(node, 'lineno', 0)}: {text}" for text in found]
    return faults


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_to_the_left(path):
    assert import_faults(parse(path), path.relative_to(ROOT).parts[0]) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_banned_is_written(path):
    assert style_faults(parse(path)) == []


def test_there_is_something_to_check():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(ORDER)


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("kernels", "import h5py"),
        ("kernels", "from snnsim.errors import SnnError"),
        ("kernels", "import snnsim"),
        ("kernels", "def f():\n    import os"),
        ("snn", "from snnsim.cli.main import main"),
        ("snn", "from snnsim import converters"),
        ("snn", "def f():\n    import snnsim.hardware.loihi"),
        ("snn", "from importlib import import_module\nimport_module('snnsim.cli')"),
        ("snn", "from . import errors"),
        ("snn", "import kernels.random"),
        ("snn", "import matplotlib.pyplot as plt"),
        ("snn", "try:\n    import torch\nexcept ImportError:\n    torch = None"),
        ("experiments", "import snnsim.cli"),
        ("examples", "import snnsim.converters"),
        ("examples", "from snnsim.kernels import engine"),
        ("examples", "from examples import cuba"),
        ("snn", "from snnsim.examples import cuba"),
        ("cli", "class A:\n    from sklearn import datasets"),
    ],
)
def test_the_import_rule_sees(folder, code):
    assert import_faults(ast.parse(code), folder) != []


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("kernels", "import numpy as np\nfrom numba import njit\nfrom snnsim.kernels.random import mix64"),
        ("snn", "from snnsim.kernels import random\nfrom snnsim import errors\nimport h5py"),
        ("snn", "def f():\n    import matplotlib.pyplot"),
        ("snn", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("cli", "from snnsim.experiments import transfer\nimport typer"),
        ("examples", "from snnsim import LIF, Network\nfrom snnsim.metrics import cv_isi"),
        ("experiments", "from snnsim.examples.cuba import cuba"),
    ],
)
def test_the_import_rule_allows(folder, code):
    assert import_faults(ast.parse(code), folder) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "def f():\n    from marshal import loads",
        "import dill as d",
        "import shelve",
        "x = eval('1')",
        "exec(text)",
        "assert x",
        "try:\n    f()\nexcept:\n    raise",
        "try:\n    f()\nexcept OSError:\n    pass",
        "try:\n    f()\nexcept OSError:\n    ...",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "subprocess.run(c, shell=True)",
        "@njit(fastmath=True)\ndef f(): return 1",
        "@njit(fastmath={'nnan'})\ndef f(): return 1",
        "@numba.njit(parallel=True)\ndef f(): return 1",
        "torch.load(p)",
        "archive.extractall(p)",
        "with suppress(Exception):\n    f()",
    ],
)
def test_the_ban_list_sees(code):
    assert style_faults(ast.parse(code)) != []


@pytest.mark.parametrize(
    "code",
    [
        "np.load(p, allow_pickle=False)",
        "@njit(cache=True, parallel=False)\ndef f(): return 1",
        "model.eval()",
        "torch.load(p, weights_only=True)",
        "try:\n    f()\nexcept OSError as e:\n    raise FileError('x') from e",
        "with suppress(FileNotFoundError):\n    f()",
    ],
)
def test_the_ban_list_allows(code):
    assert style_faults(ast.parse(code)) == []
