"""Files that commands write: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(output: str, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `output` when all of it is there.

    One that broke off half-way looks like a whole one, and somebody may read it at any moment. Who may read
    it stays; a new one is `private` or as the umask says. A device or pipe is written as it is, never
    replaced, and a link goes on pointing to the file it points to.
    """
    path = Path(os.path.realpath(output))
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:  # a directory is an error here
            yield file
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            yield file
        if path.exists():
            os.chmod(name, path.stat().st_mode & 0o777)
        elif not private:
            os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
