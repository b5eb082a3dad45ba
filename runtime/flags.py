"""Option dataclasses as absl flags: defined, checked and read back. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from typing import Any, TypeVar

from absl import flags

from slim import errors

Options = TypeVar('Options')

# Seeds, sizes and steps are int32 somewhere in TensorFlow, so that larger ones end in its errors.
_LARGEST_INTEGER = 2**31 - 1


class _ChoiceParser(flags.ArgumentParser[str]):
    """One of a few words; a misspelt one is answered with the closest."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices
        self.syntactic_help = '|'.join(choices)

    def parse(self, argument: str) -> str:
        if argument not in self._choices:
            raise ValueError(errors.did_you_mean(argument, self._choices))
        return argument

    def flag_type(self) -> str:
        return 'choice'


class _PathParser(flags.ArgumentParser[str]):
    """A path; `~` is the home folder, which no shell puts there behind an equals sign."""

    syntactic_help = 'a path'

    def __init__(self, for_tensorflow: bool) -> None:
        self._for_tensorflow = for_tensorflow

    def parse(self, argument: str) -> str:
        path = os.path.expanduser(argument)
        if path.startswith('~'):
            raise ValueError(f'no such home folder; ./{argument} would be a file of that name')
        try:
            path.encode()
        except UnicodeEncodeError:
            if self._for_tensorflow:
                raise ValueError('TensorFlow opens paths in UTF-8 only') from None
        return path

    def flag_type(self) -> str:
        return 'string'


def define_path(
    name: str,
    help_text: str,
    written: bool = False,
    for_tensorflow: bool = False,
    default: Any = None,
    **arguments: Any,
) -> flags.FlagHolder:
    """A flag for a path, as the path options of an option class have it.

    One that is `written` cannot be empty, which would be the working directory.
    """
    holder = flags.DEFINE(_PathParser(for_tensorflow), name, default, help_text, **arguments)
    flag_values = arguments.get('flag_values', flags.FLAGS)

    def check(value: str | None) -> bool:
        if written and flag_values[name].present and value is not None and not value.strip():
            raise flags.ValidationError('must not be empty: give a path.')
        return True

    flags.register_validator(name, check, flag_values=flag_values)
    return holder


def define(group: Any, flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for every field of an option class, and of the option classes in its fields.

    A flag that exists already stays as it is.
    """
    for field, kind in _fields(group):
        if dataclasses.is_dataclass(kind):
            define(kind, flag_values)
        elif field.name not in flag_values:
            _define_field(field, kind, flag_values)


def read(group: type[Options], flag_values: flags.FlagValues = flags.FLAGS) -> Options:
    """An instance of the option class with the values of the parsed command line."""
    return group(
        **{
            field.name: read(kind, flag_values)  # type: ignore[arg-type]
            if dataclasses.is_dataclass(kind)
            else flag_values[field.name].value
            for field, kind in _fields(group)
        }
    )


def names(group: Any) -> set[str]:
    """The names of the flags that `define` makes of an option class."""
    return {
        name
        for field, kind in _fields(group)
        for name in (names(kind) if dataclasses.is_dataclass(kind) else {field.name})
    }


def given(flag_values: flags.FlagValues = flags.FLAGS) -> dict[str, Any]:
    """Name and value of every flag that stands on the command line."""
    return {name: flag_values[name].value for name in flag_values if flag_values[name].present}


def chosen_by_user(flag_values: flags.FlagValues = flags.FLAGS) -> set[str]:
    """Names of the flags that have their value from the command line or a calling script."""
    return {
        name
        for name in flag_values
        if flag_values[name].present or not flag_values[name].using_default_value
    }


def require(name: str, meaning: str, flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """UsageError where a flag without default was not given."""
    if not flag_values[name].value:
        raise errors.UsageError(f'--{name} is missing: give the {meaning}')


def _fields(group: Any) -> list[tuple[dataclasses.Field, Any]]:
    """The fields of an option class, each with its type."""
    kinds = typing.get_type_hints(group)
    return [(field, kinds[field.name]) for field in dataclasses.fields(group)]


_DEFINERS: dict[type, Any] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def _define_field(field: dataclasses.Field, kind: Any, flag_values: flags.FlagValues) -> None:
    name, metadata = field.name, field.metadata
    help_text = metadata['help']
    arguments: dict[str, Any] = {'flag_values': flag_values, 'module_name': __name__}
    kind = _without_none(kind)
    if metadata['choices']:
        parser = _ChoiceParser(metadata['choices'])
        flags.DEFINE(parser, name, field.default, help_text, **arguments)
    elif metadata['path']:
        written = metadata['path'] == 'written'
        define_path(name, help_text, written, True, field.default, **arguments)
    else:
        _DEFINERS[kind](name, field.default, help_text, **arguments)
    _add_checks(name, field, flag_values)


def _without_none(kind: Any) -> Any:
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _add_checks(name: str, field: dataclasses.Field, flag_values: flags.FlagValues) -> None:
    limits = field.metadata

    def check(value: Any) -> bool:
        if limits['refused'] and value != field.default:
            raise flags.ValidationError(f'refused: {limits["refused"]}.')
        if limits['listed'] and value is not None and not value.replace(',', ' ').strip():
            raise flags.ValidationError('names nothing; leave the flag away, or give names.')
        if value is None or isinstance(value, (str, bool)):
            return True
        if isinstance(value, int) and not -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
            raise flags.ValidationError(f'must be at most {_LARGEST_INTEGER}.')
        # `not >=` rather than `<`, so that NaN fails every check.
        if limits['at_least'] is not None and not value >= limits['at_least']:
            raise flags.ValidationError(f'must be at least {limits["at_least"]}.')
        if limits['above'] is not None and not value > limits['above']:
            raise flags.ValidationError(f'must be above {limits["above"]}.')
        if limits['at_most'] is not None and not value <= limits['at_most']:
            raise flags.ValidationError(f'must be at most {limits["at_most"]}.')
        if not math.isfinite(value):
            raise flags.ValidationError('must be a finite number.')
        return True

    flags.register_validator(name, check, flag_values=flag_values)
