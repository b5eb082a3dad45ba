"""The settings of a NASNet: a small value object with the interface of tf.contrib's `HParams`."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from slim import errors

_SWITCH_WORDS = {'true': True, '1': True, 'false': False, '0': False}


class HParams:
    """Named settings, each of the type of its first value: `HParams(num_cells=18).num_cells`.

    Setting a name that does not exist, or a value of another type, is a UsageError; whole numbers
    become floats where the setting is one.
    """

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        """Adds a setting; UsageError if the name is taken."""
        if hasattr(self, name):
            raise errors.UsageError(f'Hyperparameter {name!r} exists already, or is a method.')
        self.__dict__[name] = value

    def set_hparam(self, name: str, value: Any) -> None:
        """Changes a setting; UsageError for an unknown name or another type."""
        self.__dict__[name] = _checked(name, self._get_known(name), value)

    __setattr__ = set_hparam

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a setting, `default` where there is none of that name."""
        return self.__dict__.get(name, default)

    def values(self) -> dict[str, Any]:
        """A dictionary of all settings."""
        return dict(self.__dict__)

    def override_from_dict(self, settings: Mapping[str, Any]) -> HParams:
        """Changes several settings, all or, on a UsageError, none of them; returns itself."""
        checked = {
            name: _checked(name, self._get_known(name), value) for name, value in settings.items()
        }
        self.__dict__.update(checked)
        return self

    def parse(self, assignments: str) -> HParams:
        """Changes settings from text, `num_cells=12,use_bounded_activation=true`; returns itself.

        Raises:
          UsageError: an unknown name, or a value that its type cannot be read from; nothing is
            changed then.
        """
        parsed = {}
        for assignment in filter(None, assignments.split(',')):
            name, equals, text = (part.strip() for part in assignment.partition('='))
            if not equals:
                raise errors.UsageError(f'Hyperparameters: {assignment!r} is not name=value.')
            parsed[name] = _read(name, self._get_known(name), text)
        return self.override_from_dict(parsed)

    def _get_known(self, name: str) -> Any:
        if name not in self.__dict__:
            raise errors.unknown_name('hyperparameter', name, self.__dict__)
        return self.__dict__[name]

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HParams) and self.__dict__ == other.__dict__

    __hash__ = None  # mutable

    def __repr__(self) -> str:
        return f'HParams({", ".join(f"{name}={value!r}" for name, value in self.values().items())})'


def _checked(name: str, present: Any, value: Any) -> Any:
    """`value` as the type of the present one."""
    if present is None:
        return value
    kind = type(present)
    if isinstance(value, bool):
        fits = kind in (bool, int)  # the classic switches are 0 and 1
    elif isinstance(value, numbers.Integral):
        fits = kind in (int, float)
    else:
        fits = isinstance(value, kind)
    if not fits:
        raise errors.UsageError(f'Hyperparameter {name} is of type {kind.__name__}, not {value!r}.')
    return kind(value)


def _read(name: str, present: Any, text: str) -> Any:
    """The value that `text` spells, of the type of the present one."""
    try:
        if isinstance(present, bool):
            return _SWITCH_WORDS[text.lower()]
        return text if present is None else type(present)(text)
    except (KeyError, ValueError, TypeError):
        kind = type(present).__name__
        raise errors.UsageError(f'Hyperparameter {name} is of type {kind}, not {text!r}.') from None
