"""Networks for Intel's Loihi: files that Lava reads and writes."""

from snnsim.hardware.loihi.netx_read import read_netx
from snnsim.hardware.loihi.netx_write import write_netx

__all__ = ["read_netx", "write_netx"]
