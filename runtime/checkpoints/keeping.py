"""What stays in a run's folder: the newest checkpoints, TensorFlow's list of them, no left-overs.

Deletes by exact names of training's own files, which stand in the folder itself. TensorFlow's
Saver deletes by pattern and by the paths of its list, which may be those of another folder.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from runtime import folders
from runtime.checkpoints import listing

_OWN = re.escape(listing.CHECKPOINT_NAME) + r'-\d{1,18}'
# What TensorFlow writes to first, and gives its name when it is complete.
_UNFINISHED = re.compile(_OWN + r'\.((index|data-\d{5}-of-\d{5})\.tempstate\d+|json\.partial)')
_OF_CHECKPOINT = re.compile(rf'({_OWN})({listing.SUFFIX.pattern})')


def saved(folder: str, step: int, keep: int) -> None:
    """The checkpoint of `step` is written: lists it for TensorFlow, and lets old ones go.

    Args:
      folder: of the run.
      step: of the newest checkpoint. Later ones are damaged, or the run would have begun there:
        they stay until it has passed them.
      keep: how many stay, this one included; 0 for all.
    """
    own = [c for c in listing.checkpoints(folder) if c.ours and (c.step or 0) <= step]
    kept, old = (own, []) if keep == 0 else (own[:keep], own[keep:])
    # TensorFlow reads the last one as the latest. Names, not paths: the folder may be moved.
    newest = kept[0].name if kept else f'{listing.CHECKPOINT_NAME}-{step}'
    lines = [f'model_checkpoint_path: "{newest}"']
    lines += [f'all_model_checkpoint_paths: "{checkpoint.name}"' for checkpoint in reversed(kept)]
    folders.write_text(os.path.join(folder, listing.STATE_FILE), '\n'.join(lines) + '\n')
    remove(folder, [checkpoint.name for checkpoint in old])


def remove(folder: str, names: Iterable[str]) -> None:
    """Deletes checkpoints of training; the index first, without which the rest is none."""
    gone = set(names)
    for file in sorted(listing.files(folder), key=lambda file: not file.endswith('.index')):
        part = _OF_CHECKPOINT.fullmatch(file)
        if part and part[1] in gone:
            _delete(folder, file)


def left_over(folder: str) -> list[str]:
    """Files of saves that were never finished: unfinished ones, and those without an index."""
    names = listing.files(folder)
    whole = {name.removesuffix('.index') for name in names if name.endswith('.index')}
    parts = [part for part in map(_OF_CHECKPOINT.fullmatch, names) if part]
    headless = [part[0] for part in parts if part[1] not in whole and not part[0].endswith('.meta')]
    return sorted(headless + [name for name in names if _UNFINISHED.fullmatch(name)])


def remove_left_over(folder: str) -> list[str]:
    """Deletes them, where nobody may be saving now; returns their names."""
    names = left_over(folder)
    for name in names:
        _delete(folder, name)
    return names


def _delete(folder: str, name: str) -> None:
    # Somebody else may have been quicker, and a file that stays harms nobody.
    with contextlib.suppress(tf.errors.OpError, OSError):
        tf.gfile.Remove(os.path.join(folder, name))
