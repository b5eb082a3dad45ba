"""TF-Slim's vocabulary (`import slim`; slim.conv2d, slim.arg_scope, ...) and the training runtime.

Importing this package imports no TensorFlow: the first use of a TF-Slim name loads tf_slim,
repaired for today's TensorFlow (`slim/compat.py`). The runtime modules (`slim.flags`,
`slim.trainer`, ...) are ordinary submodules.
"""

import importlib
import pkgutil
from typing import Any

_RUNTIME_MODULES = frozenset(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    # `from slim import flags` asks for the attribute first; that must not load TensorFlow.
    if name in _RUNTIME_MODULES:
        return importlib.import_module(f'{__name__}.{name}')
    if name.startswith('__'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from slim import compat

    value = getattr(compat.repaired_tf_slim(), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from slim import compat

    return sorted(_RUNTIME_MODULES | set(dir(compat.repaired_tf_slim())))
