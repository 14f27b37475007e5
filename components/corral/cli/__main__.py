"""`python -m corral.cli`: the same as `corral`."""

from corral.cli.main import main

main()
