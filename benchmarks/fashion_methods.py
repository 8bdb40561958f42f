"""Methods and steps on Fashion-MNIST: a network with residual additions, depthwise convolutions, max pools.

    python benchmarks/conversion_nets.py fashion --data DIR
    python benchmarks/fashion_methods.py --data DIR [--cache DIR] [--again]

Writes benchmarks/results/fashion_methods.json and .png, and the table in docs/conversion_benchmarks.md.
"""

from conversion_eval import STEPS
from conversion_rows import command

if __name__ == "__main__":
    title = "Fashion-MNIST, residual and depthwise"
    command("fashion_methods", "fashion", title, {"rate": STEPS, "burst": (4,)}, __doc__.splitlines()[0])
