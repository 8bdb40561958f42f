"""Trained networks and interchange graphs into spiking networks."""

if __name__ != "snnsim.converters":
    raise ImportError("import snnsim.converters, not converters; a second copy would disagree")
