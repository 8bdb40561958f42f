"""Known networks: each a function that gives the `Network`, and a script to run."""

if __name__ != "snnsim.examples":
    raise ImportError("import snnsim.examples, not examples; a second copy would disagree")
