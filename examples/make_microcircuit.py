"""Write microcircuit.toml, the full network of microcircuit.py for `snnsim run`.

    python examples/make_microcircuit.py
"""

from __future__ import annotations

from pathlib import Path

from snnsim.config import Config, Run, dumps
from snnsim.examples.microcircuit import microcircuit

HEAD = """\
# The cortical microcircuit of Potjans and Diesmann (2014) at full size: 77,169 neurons, 298,880,968 synapses,
# Poisson input.  It takes about 2 GB of memory.  Written by make_microcircuit.py, with all defaults.
#
#   snnsim run examples/microcircuit.toml
#
# A smaller one, and the time it takes:  snnsim bench microcircuit --scale 0.1

"""


def text() -> str:
    """The file."""
    return HEAD + dumps(Config(name="microcircuit", run=Run(duration_ms=1500.0), network=microcircuit()))


if __name__ == "__main__":
    Path(__file__).with_name("microcircuit.toml").write_text(text(), encoding="utf-8")
