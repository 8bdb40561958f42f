"""SpikingJelly's tutorial network on MNIST, converted with 1,024 images.

    python benchmarks/conversion_nets.py mnist --data DIR
    python benchmarks/mnist_cnn.py --data DIR [--cache DIR] [--again]

Writes benchmarks/results/mnist_cnn.json and .png, and the table in docs/conversion_benchmarks.md.
"""

from conversion_eval import STEPS
from conversion_rows import command

if __name__ == "__main__":
    methods = {"rate": STEPS, "burst": (4,)}
    command("mnist_cnn", "mnist", "MNIST, 3 x (conv 32, BN, ReLU, pool)", methods, __doc__.splitlines()[0])
