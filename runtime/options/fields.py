"""What makes a dataclass field a flag."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

CONTRIB_QUANTIZE = 'tf.contrib.quantize, which rewrote the graph, is not part of TensorFlow 2'


def option(
    default: Any,
    help_text: str,
    *,
    choices: tuple[str, ...] | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    listed: bool = False,
    refused: str | None = None,
    path: str | None = None,
) -> Any:
    """A dataclass field that is also a flag.

    `listed` is for comma-separated words: a value without any is an error. `path` is for paths:
    'read' or 'written'. `~` then stands for the home folder, and one that is written cannot be
    empty.

    `refused` is for flags that the classic scripts declared and did not obey: any value other than
    the default is an error that gives this reason.
    """
    metadata = {
        'help': help_text,
        'choices': choices,
        'at_least': at_least,
        'above': above,
        'at_most': at_most,
        'listed': listed,
        'refused': refused,
        'path': path,
    }
    return dataclasses.field(default=default, metadata=metadata)


def values(chosen: Any) -> dict[str, Any]:
    """Flag to value, of an option class, or one of option classes."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        found.update(values(value) if dataclasses.is_dataclass(value) else {field.name: value})
    return found


def with_values(chosen: Any, taken: Mapping[str, Any]) -> Any:
    """The same options with other values for some flags; names of no flag are passed over."""
    changed = {}
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = with_values(value, taken)
        elif field.name in taken:
            changed[field.name] = taken[field.name]
    return dataclasses.replace(chosen, **changed)
