"""(to come)"""
from dataclasses import dataclass
@dataclass(frozen=True)
class Exactness:
    pass
