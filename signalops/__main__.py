"""`python -m signalops` is the command line."""

from signalops.cli import main

main()
