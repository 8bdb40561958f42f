"""The page of an export: what was lost, where it lies, what was checked."""

from __future__ import annotations

from typing import Any

from snnsim.hardware.export import Plan
from snnsim.hardware.export_energy import energy_table
from snnsim.hardware.targets import get_target
from snnsim.identity import fingerprint
from snnsim.report import Report, Table


def page(made: Plan, golden: dict[str, Any], refused: dict[str, str]) -> Report:
    """The HTML page, not yet written."""
    found, placed = made.found, made.placement
    headline: list[tuple[str, object]] = [
        ("target", get_target(found.target).title),
        ("bits of a weight", found.bits),
    ]
    if placed is not None:
        headline += [("cores", placed.n_cores), ("at least", placed.lower_bound)]
    if found.exactness is not None:
        headline.append(("counts of the certificate kept", f"{found.exactness.rate:.4%}"))
    spiking = [row.agreement for row in found.rows if row.kind != "readout"]
    if spiking:
        headline.append(("spikes kept, worst layer", f"{min(spiking):.2%}"))
    tables = loss_table(made), core_table(made), energy_table(made.energy)
    return Report(
        title=f"Export for {found.target}",
        headline=headline,
        warnings=[f"{name} was not written: {why}" for name, why in refused.items()],
        facts={
            "network": fingerprint(found.network, {}),
            "source": found.source,
            "steps of a sample": found.n_steps,
            "neurons": sum(p.n for p in found.network.populations.values()),
            "golden samples": golden["samples"],
            "SHA-256 of their state": golden["state_sha256"],
        },
        facts_title="Export",
        tables=[table for table in tables if table.rows],
        figures=_figures(made),
    )


def loss_table(made: Plan) -> Table:
    return Table(
        "What was lost, layer by layer",
        ("layer", "bits", "step", "scale", "weight error (%)", "cut (%)", "threshold error (%)",
         "spikes of the source",
         "spikes", "kept (%)", "besides"),
        [
            (row.layer, row.bits, row.step, row.scale, 100 * row.weight_error, 100 * row.clipped)
            + (100 * row.threshold_error, row.source_spikes, row.spikes, 100 * row.agreement, row.note)
            for row in made.found.rows
        ],
        "On calibration data. Weight error: root mean square, as a share of the weights' own. Kept: 1 less "
        "the sum of |spikes - spikes of the source| over the source's; of a readout, samples with the same "
        "largest output.",
    )  # fmt: skip


def core_table(made: Plan) -> Table:
    if made.placement is None:
        return Table("Cores", ("core",), ())
    rows = []
    for number, (core, at, used) in enumerate(
        zip(made.placement.cores, made.placement.xy, made.placement.utilisation, strict=True)
    ):
        held = ", ".join(f"{chunk.population} ({chunk.units.size:,})" for chunk in core.chunks)
        rows.append((number, f"{at[0]}, {at[1]}", held, *(100 * share for share in used)))
    names = [f"{name.replace('_', ' ')} (%)" for name in made.placement.capacity]
    note = f"{made.placement.spike_hops:,.2f} spikes x hops in a step."
    return Table("Cores", ("core", "x, y", "holds (neurons)", *names), rows, note)


def _figures(made: Plan) -> list[tuple[str, str, bytes]]:
    if made.placement is None:
        return []
    from matplotlib.ticker import MaxNLocator

    from snnsim.canvas import blank, colour, dress, png_bytes
    from snnsim.hardware.chip_plot import chip_plot

    chip, _ = chip_plot(made.placement)
    lies = f"{made.placement.n_cores} cores of {made.placement.target} on their mesh, coloured by layer"
    figure = blank(6.4, 2.6)
    ax = figure.subplots()
    used = 100 * made.placement.utilisation
    for k, name in enumerate(made.placement.capacity):
        if used[:, k].any():
            ax.plot(range(len(used)), used[:, k], "o-", ms=3, color=colour(k), label=name.replace("_", " "))
    ax.set(xlabel="core", ylabel="used (%)", ylim=(0, 105), xlim=(-0.5, len(used) - 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.25))
    dress(ax)
    alt = f"Use of each resource on {len(used)} cores, at most {used.max():.0f} %"
    return [
        ("What lies where; the darker a line, the more spikes cross it.", lies, png_bytes(chip)),
        ("What each core uses of what it has.", alt, png_bytes(figure)),
    ]
