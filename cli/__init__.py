"""The snnsim command: one file a command."""

if __name__ != "snnsim.cli":
    raise ImportError("import snnsim.cli, not cli; a second copy would disagree")
