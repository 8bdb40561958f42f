"""docs/config.md: its example is right, and its tables of keys are those of the code.

This file, run as a program, writes the tables anew.
"""

import re
import subprocess
import sys
from pathlib import Path

from snnsim import Simulator, load_config
from snnsim.cli.models import catalogue, entry_of, rows_of
from snnsim.config import Document, loads
from snnsim.spec import rules

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "config.md"
MARK = "<!-- From here on written by tests/test_config_docs.py from the declarations in the code. -->\n"


def tables():
    """All keys, group by group."""
    parts = ["## All keys"]
    for group, kinds in catalogue().items():
        parts.append(f"### {group.capitalize()}")
        for kind, cls in kinds.items():
            entry = entry_of(kind, cls)
            word = f' (`kind = "{cls.KIND}"`)' if cls.KIND else ""
            parts.append(f"#### {kind}{word}\n\n```text\n{entry['doc']}\n```")
            if rows := rows_of(entry):
                head = ["| key | type | unit | range | default | meaning |", "|---|---|---|---|---|---|"]
                lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
                parts.append("\n".join([*head, *lines]))
    return "\n\n".join(parts) + "\n"


def test_the_tables_are_as_the_code_is():
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2].strip() == tables().strip()


def test_the_complete_example_is_right_and_has_every_table():
    text = re.search(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]
    config = loads(text, folder=EXAMPLES)
    assert config.network.populations["exc"].neuron.tau_m_ms.shape == (100,)
    assert set(rules(Document)) <= set(re.findall(r"^\[?(\w+)", text, re.MULTILINE))


def test_the_example_with_arrays_runs_and_its_wave_goes_round():
    config = load_config(EXAMPLES / "arrays.toml")
    with Simulator(config.network, dt_ms=config.run.dt_ms, seed=config.run.seed) as sim:
        sim.run(config.run.duration_ms)
        _, ids = sim.spikes("ring")
    assert set(ids) == set(range(100))


def test_the_arrays_are_made_by_the_script_beside_them(tmp_path):
    script = tmp_path / "make_arrays.py"
    script.write_bytes((EXAMPLES / "make_arrays.py").read_bytes())
    subprocess.run([sys.executable, script], check=True, timeout=60)
    assert (tmp_path / "arrays.npz").read_bytes() == (EXAMPLES / "arrays.npz").read_bytes()


if __name__ == "__main__":
    PAGE.write_text(
        PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + tables(), encoding="utf-8"
    )
