"""Which checkpoints a folder holds, told by the names of its own files.

TensorFlow's list of them, the file `checkpoint`, holds paths: it is wrong after a folder was moved,
names another folder's files in a copy, and gets lost. It counts here only where names do not tell.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from runtime import folders

CHECKPOINT_NAME = 'model.ckpt'
STATE_FILE = 'checkpoint'
# What follows the prefix in the names of a checkpoint's files; `.json` is the note beside it.
SUFFIX = re.compile(r'\.(index|meta|json|data-\d{5}-of-\d{5})')
_SURROGATE = re.compile('[\ud800-\udfff]')
_STATE_LIMIT = 1_000_000  # bytes; one of a thousand checkpoints has a tenth of it
_LATEST = re.compile(r'^model_checkpoint_path: *"(?:[^"\n]*[/\\])?([^"\n/\\]+)"', re.MULTILINE)
_SHARD = re.compile(r'(.+)\.data-(\d{5})-of-(\d{5})')
_NUMBERED = re.compile(r'(.+)-(\d{1,18})')
# Checkpoints of TensorFlow 0.x are one file; the classic releases are called so.
_ONE_FILE = re.compile(r'.+\.ckpt(-\d{1,18})?')


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that a folder holds, or what there is of it."""

    folder: str
    name: str
    missing: str = ''  # the first file that it should have and has not

    @property
    def prefix(self) -> str:
        return os.path.join(self.folder, self.name)

    @property
    def step(self) -> int | None:
        """The step in its name; None where it has none."""
        numbered = _NUMBERED.fullmatch(self.name)
        return int(numbered[2]) if numbered else None

    @property
    def ours(self) -> bool:
        """Whether it is called as training calls its own."""
        return re.fullmatch(re.escape(CHECKPOINT_NAME) + r'-\d{1,18}', self.name) is not None


def files(folder: str) -> list[str]:
    """The names in a folder; none where it is not there or is no folder."""
    try:
        if '://' in folder:
            return [name.rstrip('/') for name in tf.gfile.ListDirectory(folder)]
        # TensorFlow's way fails at names that are not UTF-8; no checkpoint has such a one.
        names = os.listdir(folder or '.')
        return [name for name in names if name.isascii() or not _SURROGATE.search(name)]
    except (tf.errors.OpError, OSError):
        return []


def checkpoints(folder: str) -> list[Checkpoint]:
    """Every checkpoint in the folder, the one to take first.

    Those of training come first, then others with a step in their name, the highest step first.
    Among those without one the state file chooses, then the time of writing. A save that is not
    finished has no index yet and does not count.
    """
    names = files(folder)
    shards = _shards(names)
    found = [
        Checkpoint(folder, name, _missing(name, shards.get(name, {})))
        for name in (file.removesuffix('.index') for file in names if file.endswith('.index'))
    ]
    known = {checkpoint.name for checkpoint in found}
    found += [
        Checkpoint(folder, name)
        for name in names
        if name not in known | shards.keys()
        and _ONE_FILE.fullmatch(name)
        and not tf.gfile.IsDirectory(os.path.join(folder, name))
    ]
    unnumbered = [checkpoint for checkpoint in found if checkpoint.step is None]
    named = named_by_state_file(folder) if unnumbered else ''
    times = {c.name: _time(c) for c in unnumbered} if len(unnumbered) > 1 else {}

    def rank(checkpoint: Checkpoint) -> tuple[bool, int, bool, float, str]:
        name, step = checkpoint.name, checkpoint.step
        return (
            checkpoint.ours,
            -1 if step is None else step,
            name == named,
            times.get(name, 0.0),
            name,
        )

    return sorted(found, key=rank, reverse=True)


def resumable(folder: str) -> list[Checkpoint]:
    """Those that a run in the folder may go on from, the newest first.

    One without a step in its name, such as a published one, is somebody's start and no run's end,
    unless the state file says so.
    """
    found = checkpoints(folder)
    numbered = [checkpoint for checkpoint in found if checkpoint.step is not None]
    if numbered or not found:
        return numbered
    named = named_by_state_file(folder)
    return [checkpoint for checkpoint in found if checkpoint.name == named]


def named_by_state_file(folder: str) -> str:
    """The name, without a folder, of the checkpoint that TensorFlow's state file calls the latest.

    '' where it calls none, or cannot be read.
    """
    try:
        text = folders.read_text(os.path.join(folder, STATE_FILE), _STATE_LIMIT)
    except (tf.errors.OpError, OSError, ValueError):
        return ''
    found = _LATEST.search(text)
    return found[1] if found else ''


def prefix_of(path: str) -> str:
    """A checkpoint's prefix from the path of one of its files."""
    folder, name = os.path.split(path)
    for suffix in SUFFIX.finditer(name):
        if suffix.end() == len(name) and suffix.start() > 0:
            return os.path.join(folder, name[: suffix.start()])
    return path


def _shards(names: Iterable[str]) -> dict[str, dict[int, set[int]]]:
    """Name of a checkpoint -> number of its data files -> those that are there."""
    shards: dict[str, dict[int, set[int]]] = {}
    for file in names:
        part = _SHARD.fullmatch(file)
        if part:
            shards.setdefault(part[1], {}).setdefault(int(part[3]), set()).add(int(part[2]))
    return shards


def _missing(name: str, shards: dict[int, set[int]]) -> str:
    """The first data file that is not there, '' where one set of them is whole."""
    if any(len(there) == total for total, there in shards.items()):
        return ''
    total, there = max(shards.items(), key=lambda item: len(item[1]), default=(1, set()))
    first = next(shard for shard in range(total + 1) if shard not in there)
    return f'{name}.data-{first:05d}-of-{total:05d}'


def _time(checkpoint: Checkpoint) -> float:
    """When it was written; 0.0 where that cannot be told."""
    for suffix in ('.index', ''):
        try:
            if '://' in checkpoint.folder:
                return tf.gfile.Stat(checkpoint.prefix + suffix).mtime_nsec / 1e9
            return os.stat(checkpoint.prefix + suffix).st_mtime
        except (tf.errors.OpError, OSError):
            continue
    return 0.0
