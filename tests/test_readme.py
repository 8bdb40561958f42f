"""The Python example of the README runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
)


def test_there_is_an_example():
    assert EXAMPLES


@pytest.mark.parametrize("code", EXAMPLES, ids=[f"example{i + 1}" for i in range(len(EXAMPLES))])
def test_example_runs_in_a_fresh_process(code, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_the_example_is_the_network_of_the_file():
    """README and examples/cuba.toml hold one network."""
    from snnsim import load_config

    names: dict = {}
    exec(EXAMPLES[0].partition("\nsim = ")[0], names)  # noqa: S102  (our own text)
    assert names["net"] == load_config(README.parent / "examples" / "cuba.toml").network
