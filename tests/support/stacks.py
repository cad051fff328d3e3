"""Where asyncio's tasks stand: pytest-timeout prints the stacks of threads, of which the one with the event loop only polls."""

import asyncio
import gc
import sys
from typing import Any, TextIO


def print_tasks(file: TextIO = sys.stderr) -> None:
    """Print the stack of each task that has not ended, in whichever event loop it is."""
    tasks: list[asyncio.Task[Any]] = [task for task in gc.get_objects() if isinstance(task, asyncio.Task)]
    for task in tasks:
        if not task.done():
            print(f"\n~~~ {task.get_name()} ~~~", file=file)
            task.print_stack(file=file)
