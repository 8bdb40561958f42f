"""One cache folder for each state of the kernels, and no piles of old ones."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "snn" / "jit_cache.py"


def load(path: Path):
    spec = importlib.util.spec_from_file_location("jit_cache_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A private cache; numba of this process must not be turned, so it is hidden."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "placeholder")  # so that the old value comes back at the end
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    return tmp_path


@pytest.fixture
def checkout(home):
    """A little source tree of its own: snn/jit_cache.py and kernels/*.py."""
    for folder in ("snn", "kernels"):
        (home / folder).mkdir()
    (home / "snn" / "jit_cache.py").write_text(SOURCE.read_text())
    (home / "kernels" / "a.py").write_text("A = 1\n")
    (home / "kernels" / "b.py").write_text("B = 2\n")
    return load(home / "snn" / "jit_cache.py"), home / "kernels"


def age(folder: Path, days: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))
    return folder


def test_sets_the_environment(checkout, home):
    module, _ = checkout
    folder = module.configure()
    assert folder == home / "cache" / "snnsim" / f"numba-{module.kernel_hash()}"
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
    assert module.configure() == folder


def test_a_choice_of_the_user_is_kept(checkout, monkeypatch):
    module, _ = checkout
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere/else")
    assert module.configure() == Path("/somewhere/else")
    assert os.environ["NUMBA_CACHE_DIR"] == "/somewhere/else"


def test_hash_follows_content_and_names(checkout):
    module, kernels = checkout
    hashes = [module.kernel_hash()]
    (kernels / "b.py").write_text("B = 3\n")
    hashes.append(module.kernel_hash())
    (kernels / "b.py").rename(kernels / "c.py")
    hashes.append(module.kernel_hash())
    (kernels / "d.py").write_text("")
    hashes.append(module.kernel_hash())
    assert len(set(hashes)) == 4
    (kernels / "notes.txt").write_text("no kernel")
    assert module.kernel_hash() == hashes[-1]


def test_package_and_source_tree_agree():
    import snnsim.jit_cache

    assert snnsim.jit_cache.kernel_hash() == load(SOURCE).kernel_hash()


def test_relative_cache_home_is_ignored(checkout, home, monkeypatch):
    module, _ = checkout
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(home))
    assert module.configure().is_relative_to(home / ".cache" / "snnsim")


def test_old_siblings_are_pruned(checkout, home):
    module, _ = checkout
    root = home / "cache" / "snnsim"
    current = age(root / f"numba-{module.kernel_hash()}", days=30)
    old = [age(root / f"numba-{i:016x}", days=2 + i) for i in range(8)]
    recent = age(root / f"numba-{99:016x}", days=0.5)
    foreign = age(root / "numba-something", days=400)
    module.configure()
    left = {path for path in root.iterdir() if path.name.startswith("numba-")}
    assert left == {current, recent, *old[:3], foreign}
    assert time.time() - current.stat().st_mtime < 60


def test_folders_in_use_survive_any_number(checkout, home):
    module, _ = checkout
    root = home / "cache" / "snnsim"
    recent = {age(root / f"numba-{i:016x}", days=0.1) for i in range(12)}
    module.configure()
    assert recent <= set(root.iterdir())


def test_links_are_not_followed(checkout, home):
    module, _ = checkout
    root = home / "cache" / "snnsim"
    precious = age(home / "precious", days=50)
    root.mkdir(parents=True)
    (root / f"numba-{1:016x}").symlink_to(precious)
    for i in range(2, 12):
        age(root / f"numba-{i:016x}", days=20)
    module.configure()
    assert precious.is_dir()


def test_numba_reads_it_and_is_not_loaded_by_it(tmp_path):
    code = (
        "import sys, runpy; module = runpy.run_path(sys.argv[1]); folder = module['configure'](); "
        "heavy = [m for m in ('numba', 'numpy', 'snnsim') if m in sys.modules]; "
        "import numba; print(numba.config.CACHE_DIR == str(folder), heavy)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "XDG_CACHE_HOME": str(tmp_path)
    }
    result = subprocess.run(
        [sys.executable, "-c", code, str(SOURCE)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.strip() == "True []", result.stderr


def test_numba_loaded_before_is_turned_too(tmp_path):
    code = (
        "import sys, runpy, numba; folder = runpy.run_path(sys.argv[1])['configure'](); "
        "print(numba.config.CACHE_DIR == str(folder))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "XDG_CACHE_HOME": str(tmp_path)
    }
    result = subprocess.run(
        [sys.executable, "-c", code, str(SOURCE)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.strip() == "True", result.stderr
