"""What all tests share: the kernel cache, a picture-less matplotlib, Hypothesis without deadlines."""

import importlib.util
import os
from pathlib import Path

from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent


def _configure_jit_cache() -> None:
    """Loaded by its path: at this point nothing may have imported numba, not even by way of snnsim."""
    spec = importlib.util.spec_from_file_location("_snnsim_jit_cache", REPOSITORY / "snn" / "jit_cache.py")
    if spec is None or spec.loader is None:
        raise ImportError("snn/jit_cache.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.configure()


_configure_jit_cache()
os.environ.setdefault("MPLBACKEND", "Agg")

# The first call of a kernel compiles it, so a deadline would measure the compiler. On CI the
# examples are the same each time: a red build can then be repeated.
settings.register_profile("snnsim", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("snnsim")
