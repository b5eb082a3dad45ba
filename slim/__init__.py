"""TF-Slim's vocabulary: `import slim`; slim.conv2d, slim.arg_scope, ...

Importing this package imports no TensorFlow: the first use of a TF-Slim name loads tf_slim,
repaired for today's TensorFlow (`slim/compat.py`).
"""

import importlib
import pkgutil
from typing import Any

_MODULES = frozenset(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    # `from slim import errors` asks for the attribute first; that must not load TensorFlow.
    if name in _MODULES:
        return importlib.import_module(f'{__name__}.{name}')
    if name.startswith('__'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from slim import compat

    value = getattr(compat.repaired_tf_slim(), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from slim import compat

    return sorted(_MODULES | set(dir(compat.repaired_tf_slim())))
