"""`python -m corral.simulated --hosts FILE`: see `serve`; `child` starts it as a child process.

Exit status: 0 ended by a signal, or the parent is gone; 1 the port cannot be had; 2 wrong arguments or hosts.
"""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from corral.simulated.hosts import TOKEN_VARIABLE, HostsError, read_hosts
from corral.simulated.loopback import LOOPBACK, bind
from corral.simulated.server import serve


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m corral.simulated", description="Simulated hosts on loopback.")
    parser.add_argument("--hosts", type=Path, required=True, help="the hosts, as JSON")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=0, help="the port; 0, the default, takes a free one")
    where.add_argument("--fd", type=int, help="an inherited file descriptor that listens already")
    parser.add_argument("--ready-file", type=Path, help="written, at once, when requests are answered: port and pid")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends or the parent dies")
    options = parser.parse_args()
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        parser.error(f"the environment variable {TOKEN_VARIABLE} must hold the token of the control endpoints")
    address = f"{LOOPBACK}:{options.port}" if options.fd is None else f"file descriptor {options.fd}"
    try:
        hosts = read_hosts(options.hosts)
    except HostsError as error:
        parser.error(str(error))
    try:
        listening = bind(options.port) if options.fd is None else socket.socket(fileno=options.fd)
    except (OSError, OverflowError) as error:
        parser.exit(1, f"simulated hosts: cannot listen on {address}: {error}\n")
    serve(hosts, token, listening, options.ready_file, with_parent=options.with_parent)


if __name__ == "__main__":
    main()
