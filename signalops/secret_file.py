"""Files of secrets: created once, readable by their owner alone."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile


def ensure_secret_file(file: Path, make: Callable[[], bytes]) -> None:
    """Make a secret's file, for its owner alone, unless it is there."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Link a finished file: a concurrent writer or reader then finds the whole secret of the first process.
    with NamedTemporaryFile("wb", dir=file.parent, prefix=f".{file.name}-") as draft:
        draft.write(make())
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            os.link(draft.name, file)
