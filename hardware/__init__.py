"""Chips and boards: limits, placement, export."""

if __name__ != "snnsim.hardware":
    raise ImportError("import snnsim.hardware, not hardware; a second copy would disagree")
