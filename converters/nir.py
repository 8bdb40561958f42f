"""NIR, the Neuromorphic Intermediate Representation: graphs in and out.

    network = read_nir("net.nir", dt_ms=0.1, dialect="norse")
    write_nir(network, "net.nir", dt_ms=0.1)
"""

from snnsim.converters.nir_dialects import DIALECTS, NEVER_MV
from snnsim.converters.nir_file import NirWarning
from snnsim.converters.nir_read import read_nir
from snnsim.converters.nir_write import write_nir

__all__ = ["DIALECTS", "NEVER_MV", "NirWarning", "read_nir", "write_nir"]
