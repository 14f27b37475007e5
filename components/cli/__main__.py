"""`python -m components.cli`: the same as `corral`."""

from components.cli.main import main

main()
