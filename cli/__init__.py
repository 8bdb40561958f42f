"""The snnsim command: one file a command."""

if __name__ != "snnsim.cli":
    raise ImportError(
        "import this package as snnsim.cli, not as cli: two copies would compile twice and disagree"
    )
