"""Trained networks and interchange graphs into spiking networks."""

if __name__ != "snnsim.converters":
    raise ImportError("import this package as snnsim.converters, not as converters: two copies would compile twice and disagree")
