"""Experiments built on top of the simulator."""

if __name__ != "snnsim.experiments":
    raise ImportError("import snnsim.experiments, not experiments; a second copy would disagree")
