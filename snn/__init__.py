"""snnsim: describe a spiking network once; simulate it fast and reproducibly.

    from snnsim import LIF, Network, Population, Probe, Simulator

Everything a user needs is importable from here; nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "connectivity": (
        "AllToAll", "Arrays", "FixedInDegree", "FixedOutDegree", "FixedTotalNumber", "OneToOne",
        "PairwiseBernoulli",
    ),
    "distributions": ("ClippedNormal", "LogNormal", "Normal", "Uniform"),
    "models": ("IF", "LIF", "AdaptiveThreshold", "Conductance", "Delta", "Exponential"),
    "network": ("Network",),
    "population": ("Population",),
    "probe": ("Probe",),
    "projection": ("Projection",),
    "plasticity": ("STDP", "Normalisation"),
    "simulator": ("Simulator",),
    "stimuli": ("Current", "Images", "Phase", "Poisson", "PoissonDrive", "SpikeTrains"),
    "config": ("Config", "Run", "load_config", "save_config"),
    "errors": (
        "ConfigError", "ConversionError", "FileError", "SimulationError", "SnnError", "StorageError",
        "TargetError",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from snnsim.config import Config, Run, load_config, save_config
    from snnsim.connectivity import (
        AllToAll,
        Arrays,
        FixedInDegree,
        FixedOutDegree,
        FixedTotalNumber,
        OneToOne,
        PairwiseBernoulli,
    )
    from snnsim.distributions import ClippedNormal, LogNormal, Normal, Uniform
    from snnsim.errors import (
        ConfigError,
        ConversionError,
        FileError,
        SimulationError,
        SnnError,
        StorageError,
        TargetError,
    )
    from snnsim.models import IF, LIF, AdaptiveThreshold, Conductance, Delta, Exponential
    from snnsim.network import Network
    from snnsim.plasticity import STDP, Normalisation
    from snnsim.population import Population
    from snnsim.probe import Probe
    from snnsim.projection import Projection
    from snnsim.simulator import Simulator
    from snnsim.stimuli import Current, Images, Phase, Poisson, PoissonDrive, SpikeTrains

__all__ = [*sorted(_HOME_OF), "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'snnsim' has no attribute {name!r}")
    return getattr(import_module(f"snnsim.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
