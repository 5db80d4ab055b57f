"""`python -m cluster`: the command line where the command `ocelot` is not installed, as in a job of a Ray cluster."""

from cluster.cli import main

main()
