"""`python -m corral.simulated --fd N`: see `serve`.

Exit status: 0 ended by a signal, or the parent is gone; 2 wrong arguments.
"""

from __future__ import annotations

from corral.simulated.hosts import TOKEN_VARIABLE
from corral.simulated.loopback import inherited
from corral.simulated.server import serve

if __name__ == "__main__":
    serve(*inherited("corral.simulated", "Simulated hosts on loopback.", TOKEN_VARIABLE))
