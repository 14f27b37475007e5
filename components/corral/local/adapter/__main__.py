"""`python -m corral.local.adapter --fd N`: see `serve`.

Exit status: 0 ended by a signal, or the parent is gone; 2 wrong arguments.
"""

from __future__ import annotations

from corral.local.adapter.hosts import TOKEN_VARIABLE
from corral.local.adapter.server import serve
from corral.simulated.loopback import inherited

if __name__ == "__main__":
    serve(*inherited("corral.local.adapter", "Translates for hosts.", TOKEN_VARIABLE))
