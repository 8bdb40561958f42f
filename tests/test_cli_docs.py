"""docs/cli.md holds the help of every command as it is; this file, run as a program, writes it anew."""

from pathlib import Path

from typer.testing import CliRunner

from snnsim.cli.main import COMMANDS, EXIT_CODES, app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

HEAD = """\
# The command line

What a command finds goes to stdout, its talk to stderr; so `snnsim inspect RUN --json | jq .` works.
Progress is a bar on a terminal and a plain line every ten seconds elsewhere; `NO_COLOR` is respected.

## One JSON object

With `--json` stdout holds exactly one object, also after an error and after a mistake in the command line:

```
{"schema": 1, "ok": true, "command": "run", "data": {...}, "warnings": [], "error": null}
```

`error` is null or has `code`, `message`, `where`, `file`, `line`, `got`, `expected` and `fix`.

## Exit codes

| code | meaning |
|---:|---|
"""


def page():
    lines = [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    parts = [
        HEAD + "\n".join(lines),
        "A second Ctrl-C ends a run at once, without a checkpoint.",
        "## Commands",
    ]
    for command in COMMANDS:
        text = CliRunner().invoke(app, [command, "--help"]).stdout.rstrip()
        parts.append(f"### snnsim {command}\n\n```\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def test_the_page_is_as_the_commands_are():
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
