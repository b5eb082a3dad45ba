"""`research.mobilenet` is the package `mobilenet` under its old name: the same modules, not copies.

Modules are imported as they are asked for, those of the first release by their names of then.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

_OLD, _NEW = 'research.mobilenet', 'mobilenet'
# What modules were called until July 2020.
_RENAMED = {
    'mobilenet_v1_model': 'mobilenet_v1',
    'mobilenet_v2_model': 'mobilenet_v2',
    'mobilenet_v3_model': 'mobilenet_v3',
    'tf1_loader.mobilenet_evaluator': 'tf1_loader.evaluator',
    'tf1_loader.mobilenet_v1_loader': 'tf1_loader.v1_loader',
    'tf1_loader.mobilenet_v2_loader': 'tf1_loader.v2_loader',
    'tf1_loader.mobilenet_v3_loader': 'tf1_loader.v3_loader',
}


class _Aliases(importlib.abc.MetaPathFinder):
    """Finds `research.mobilenet.X` where `mobilenet.X` is."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if not name.startswith(f'{_OLD}.'):
            return None
        rest = name.removeprefix(f'{_OLD}.')
        real = importlib.util.find_spec(f'{_NEW}.{_RENAMED.get(rest, rest)}')
        if real is None:
            return None
        return importlib.machinery.ModuleSpec(
            name,
            _Loader(real),
            origin=real.origin,
            is_package=real.submodule_search_locations is not None,
        )


class _Loader(importlib.abc.InspectLoader):
    """Hands out the real module; for `python -m`, its code."""

    def __init__(self, real: importlib.machinery.ModuleSpec) -> None:
        self._real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = importlib.import_module(self._real.name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        # The import of the alias has put its own there.
        module.__spec__ = self._spec

    def _loader(self) -> Any:
        return self._real.loader

    def is_package(self, fullname: str) -> bool:
        return self._loader().is_package(self._real.name)

    def get_code(self, fullname: str) -> types.CodeType | None:
        return self._loader().get_code(self._real.name)

    def get_source(self, fullname: str) -> str | None:
        return self._loader().get_source(self._real.name)


if not any(isinstance(finder, _Aliases) for finder in sys.meta_path):
    sys.meta_path.insert(0, _Aliases())
__path__ = []  # Nothing of its own: the finder above comes first.
