"""Chips and boards: limits, placement, export."""

if __name__ != "snnsim.hardware":
    raise ImportError("import this package as snnsim.hardware, not as hardware: two copies would compile twice and disagree")
