"""What all configurations have in common: fields with defaults, and no other names than those."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from slim import errors

_Config = TypeVar('_Config', bound='Config')


@dataclasses.dataclass(init=False)
class Config:
    """Base of the configurations, which are dataclasses with `init=False`.

    A name that is no field is a UsageError that tells the nearest one, however it is given: to the
    constructor, to `from_args`, to `override`, or by assignment.
    """

    def __init__(self, default_params: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Args: default_params: values by name, under those of `kwargs`."""
        given = {**(default_params or {}), **kwargs}
        for field in dataclasses.fields(self):
            if field.default_factory is not dataclasses.MISSING:
                setattr(self, field.name, field.default_factory())
            else:
                setattr(self, field.name, field.default)
        self.override(given)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check_names([name])
        super().__setattr__(name, value)

    @classmethod
    def _check_names(cls, names: Any) -> None:
        known = [field.name for field in dataclasses.fields(cls)]
        for name in names:
            if name not in known:
                raise errors.unknown_name(f'key of {cls.__name__}', name, known)

    @classmethod
    def from_args(cls: type[_Config], *args: Any, **kwargs: Any) -> _Config:
        """A configuration with `args` as the first fields, in their order, and `kwargs` by name."""
        names = [field.name for field in dataclasses.fields(cls)]
        if len(args) > len(names):
            raise errors.UsageError(
                f'{cls.__name__}.from_args got {len(args)} values for {len(names)} fields.'
            )
        return cls(dict(zip(names, args, strict=False)), **kwargs)

    def override(self, override_params: Mapping[str, Any]) -> None:
        """Sets fields by name; none is set where one of the names is wrong."""
        self._check_names(override_params)
        for name, value in override_params.items():
            setattr(self, name, value)

    def replace(self: _Config, **kwargs: Any) -> _Config:
        """A copy of its own with other values in some fields."""
        replaced = copy.deepcopy(self)
        replaced.override(kwargs)
        return replaced

    def as_dict(self) -> dict[str, Any]:
        """Values by name; configurations inside of it are dictionaries too."""
        return dataclasses.asdict(self)
