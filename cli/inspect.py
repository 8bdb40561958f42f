"""`snnsim inspect`: what is in a config, a run directory or a file of spikes?"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnsim.cli.output import Json, Reply, bytes_text, columns
from snnsim.cli.run import DataDir

if TYPE_CHECKING:
    from snnsim.config import Config
    from snnsim.runs import RunDirectory

RUN_FACTS = (
    *("status", "name", "seed", "dt_ms", "duration_ms", "threads", "threads_requested", "started_utc"),
    *("ended_utc", "build_s", "sim_s", "wall_s", "real_time_factor", "snnsim", "spikes_sha256"),
)


_LABELS = {
    "build_s": "build wall time (s)",
    "sim_s": "simulation wall time (s)",
    "wall_s": "total wall time (s)",
}


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Config, run directory or HDF5 file.")],
    data: DataDir = None,
    json: Json = False,
) -> Reply:
    """Show populations, projections, stimuli and probes of a config or run, and rates of what was recorded.

    \b
    Examples:
      snnsim inspect net.toml
      snnsim inspect runs/2026-11-20T064500-digits-3fa9c1
      snnsim inspect spikes.h5 --json
    """
    from snnsim.config import load_config

    if path.is_dir():
        return _run(path, data)
    if path.suffix.lower() == ".toml":
        found = _config(load_config(path), data)
        return Reply(found, _config_text(found))
    from snnsim.validation import validate

    kind, facts = validate(path)
    if kind == "spikes":
        return Reply({"kind": kind, **facts}, _spikes_text(facts["populations"]))
    return Reply(
        {"kind": kind, "facts": facts}, "\n".join([kind, *(f"  {k}: {v}" for k, v in facts.items())])
    )


def _config(config: Config, data: Path | None) -> dict[str, Any]:
    from snnsim.connectivity import expected_synapses
    from snnsim.results import sizes_of
    from snnsim.validation import config_facts
    from snnsim.weights import weight_unit

    facts = config_facts(config, data)
    network, sizes = config.network, sizes_of(config, data)
    return {
        **facts,
        "precision": network.precision,
        "dt_ms": config.run.dt_ms,
        "duration_ms": config.run.duration_ms,
        "seed": config.run.seed,
        "populations": {
            name: {"n": p.n, "neuron": p.neuron.KIND, "synapse": p.neuron.synapse.KIND}
            for name, p in network.populations.items()
        },
        "stimuli": {
            name: {"kind": s.KIND, "n": sizes.get(name), "target": getattr(s, "target", "")}
            for name, s in network.stimuli.items()
        },
        "projections": {
            name: {
                "source": p.source,
                "target": p.target,
                "rule": p.rule.KIND,
                "n_synapses": round(
                    expected_synapses(p.rule, sizes[p.source], sizes[p.target], p.source == p.target)
                ),
                "weight": _value(p.weight),
                "unit": weight_unit(p),
                "delay_ms": _value(p.delay_ms),
                "plasticity": p.plasticity.KIND if p.plasticity is not None else "",
            }
            for name, p in network.projections.items()
        },
        "probes": {
            name: {
                "target": p.target,
                "variable": p.variable,
                "units": None if p.ids is None else int(p.ids.size),
            }
            for name, p in network.probes.items()
        },
    }


def _value(value: Any) -> Any:
    """A number as it is; a distribution or a list in a few words."""
    if isinstance(value, float):
        return value
    return getattr(value, "KIND", None) or f"{len(value):,} values"


def _config_text(found: dict[str, Any]) -> str:
    blocks = [
        f"{found['name']}: {found['n_neurons']:,} neurons, about {found['n_synapses']:,} synapses, "
        f"{bytes_text(found['total_bytes'])}, {found['precision']}, dt {found['dt_ms']:g} ms, "
        f"seed {found['seed']}"
    ]
    for title in ("populations", "stimuli", "projections", "probes"):
        rows = [(name, *entry.values()) for name, entry in found[title].items()]
        if rows:
            header = (title, *next(iter(found[title].values())))
            blocks.append(columns(rows, header))
    return "\n\n".join(blocks)


def _spikes_text(populations: dict[str, dict[str, Any]]) -> str:
    rows = [(name, *entry.values()) for name, entry in populations.items()]
    return columns(rows, ("population", "spikes", "units seen", "first ms", "last ms"))


def _run(path: Path, data: Path | None) -> Reply:
    from snnsim.config import load_config
    from snnsim.results import read_result, spike_counts_so_far
    from snnsim.runs import RunDirectory

    run = RunDirectory.open(path)
    facts = {key: run.manifest.get(key) for key in RUN_FACTS} | _progress(run)
    found = {"run": facts, **_config(load_config(run.resolved_path), data)}
    shown = {_LABELS.get(key, key.replace("_", " ")): value for key, value in facts.items()}
    width = max(map(len, shown))
    lines = [f"{key:<{width}}  {_short(value)}" for key, value in shown.items() if value is not None]
    text = f"{chr(10).join(lines)}\n\n{_config_text(found)}"
    if (path / "result.json").exists():
        result = read_result(path)
        found |= {key: result[key] for key in ("spikes", "rates_hz", "task") if key in result}
        rows = [(name, n, result["rates_hz"][name]) for name, n in result["spikes"].items()]
        text += "\n\n" + columns(rows, ("recorded", "spikes", "mean rate (1/s)"))
        if "task" in result:
            text += f"\n\naccuracy {result['task']['accuracy']:.2%}"
    elif run.spikes_path.exists():
        found["spikes"] = spike_counts_so_far(run.spikes_path)
        text += "\n\n" + columns(found["spikes"].items(), ("recorded", "spikes so far"))
    return Reply(found, text)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _progress(run: RunDirectory) -> dict[str, Any]:
    """Of an unfinished run: how it stands, how far it came, and how to go on."""
    from snnsim.results import reached_step

    if run.status == "finished":
        return {}
    holder = run.holder
    alive = holder is not None and holder[1]
    found: dict[str, Any] = {"step_reached": reached_step(run)}
    dt_ms, duration_ms = run.manifest.get("dt_ms"), run.manifest.get("duration_ms")
    if dt_ms and duration_ms:
        found["n_steps"] = round(duration_ms / dt_ms)
    if run.status == "running" and not alive:
        found["status"] = f"died (process {holder[0]} is gone)" if holder else "died (its process is gone)"
    if not alive:
        found["fix"] = f"snnsim resume {quote(str(run.path))}"
    return found
