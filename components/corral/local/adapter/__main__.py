"""`python -m corral.local.adapter --fd N`: see `serve`.

Exit status: 0 ended by a signal, or the parent is gone; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import socket

from corral.local.adapter.hosts import TOKEN_VARIABLE
from corral.local.adapter.server import serve


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m corral.local.adapter", description="Translates for hosts.")
    parser.add_argument("--fd", type=int, required=True, help="an inherited file descriptor that listens already")
    options = parser.parse_args()
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        parser.error(f"the environment variable {TOKEN_VARIABLE} must hold the token that requests show")
    try:
        listening = socket.socket(fileno=options.fd)
    except OSError as error:
        parser.error(f"file descriptor {options.fd} is no socket: {error.strerror}")
    serve(listening, token)


if __name__ == "__main__":
    main()
