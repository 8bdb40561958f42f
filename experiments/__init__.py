"""Experiments built on top of the simulator."""

if __name__ != "snnsim.experiments":
    raise ImportError("import this package as snnsim.experiments, not as experiments: two copies would compile twice and disagree")
