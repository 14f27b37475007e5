"""`python -m corral.local.adapter --fd N`: see `server.serve`; with `--folder PATH --port N` on a cluster: see
`on_cluster.FileServer`.

Exit status: 0 ended by a signal, or the parent is gone; 2 wrong arguments, or a file that cannot be taken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from corral.hosts.adapted.description import TOKEN_VARIABLE

if __name__ == "__main__":
    if "--folder" in sys.argv:
        from corral.local.adapter.on_cluster import FileServer, StateError

        parser = argparse.ArgumentParser(prog="python -m corral.local.adapter", description="Translates for hosts.")
        parser.add_argument("--folder", type=Path, required=True, help="the folder of adapter.json")
        parser.add_argument("--port", type=int, required=True, help="the port to listen on, at every address")
        arguments = parser.parse_args()
        try:
            FileServer(arguments.folder, arguments.port).serve_until_ended()
        except (StateError, OSError) as error:
            parser.error(str(error))
    else:
        from corral.local.adapter.server import serve
        from corral.simulated.loopback import inherited

        serve(*inherited("corral.local.adapter", "Translates for hosts.", TOKEN_VARIABLE))
