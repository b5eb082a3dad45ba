"""The repair of tf-slim 1.1.0 on today's TensorFlow; the only file that touches tensorflow.python.

tf-slim 1.1.0 is the newest release and was written for TF 2.2. Two things broke since: the layers
it wraps moved to tf_keras under another module name, and a few functions moved inside
tensorflow.python. Both are put back here, only where they are missing. tf_slim itself stays one
module with one arg_scope stack, so that `import tf_slim` in a user's script and `import slim` here
see the same scopes.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

# Of a tensor: the variable that a layer has it for. Of a graph: those regularized by that.
_STANDS_FOR = 'stands_for_variable'
_LEGACY_LAYERS = ('base', 'convolutional', 'core', 'normalization', 'pooling')


def _alias_legacy_layers() -> None:
    """TensorFlow's own layer modules look for `tf_keras.legacy_tf_layers`; it moved below `src`."""
    old, new = 'tf_keras.legacy_tf_layers', 'tf_keras.src.legacy_tf_layers'
    for suffix in ('', *(f'.{name}' for name in _LEGACY_LAYERS)):
        try:
            importlib.import_module(old + suffix)
        except ModuleNotFoundError:
            sys.modules[old + suffix] = importlib.import_module(new + suffix)


def _leave_layers_unconverted() -> None:
    """Layers run as written, not translated by autograph, which TF 2.15 does to each of them.

    The graph is the same either way; translating makes building it six times slower.
    """
    import tensorflow as tf

    for keras in ('tf_keras', 'tensorflow.python.keras'):
        layer = importlib.import_module(f'{keras}.legacy_tf_layers.base').Layer
        layer.__call__ = tf.autograph.experimental.do_not_convert(layer.__call__)


def _answer_quickly_in_graphs() -> None:
    """`executing_eagerly_outside_functions` without a detour where a plain graph is built.

    It enters and leaves the outer context, every time that a variable is hashed; and each layer
    puts all variables so far into a set. That is most of the time that building NASNet takes.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    ops: Any = importlib.import_module('tensorflow.python.framework.ops')
    ask_outer_context = ops.executing_eagerly_outside_functions

    @functools.wraps(ask_outer_context)
    def executing_eagerly_outside_functions() -> bool:
        if not tf.executing_eagerly() and not v1.get_default_graph().building_function:
            return False
        return ask_outer_context()

    ops.executing_eagerly_outside_functions = executing_eagerly_outside_functions


def _compare_graph_variables_by_identity() -> None:
    """A variable of a plain graph is hashed and compared without asking how the process executes.

    The answer is the same. But each layer puts all variables so far into a set, and searches
    collections of them for its own: a million questions, and a third of the time that building
    NASNet takes.
    """
    import tensorflow as tf

    variable: Any = tf.Variable
    ask_and_hash, ask_and_compare = variable.__hash__, variable.__eq__

    def is_of_graph(candidate: Any) -> bool:
        return getattr(candidate, '_in_graph_mode', False)

    variable.__hash__ = lambda self: id(self) if is_of_graph(self) else ask_and_hash(self)
    variable.__eq__ = lambda self, other: (
        self is other if is_of_graph(self) else ask_and_compare(self, other)
    )


def _swap_layer_classes_on_change() -> None:
    """The bases of a layer's class are set where the way of executing has changed, not each time.

    Each new layer sets its class's bases, and those of their bases, to the Keras classes for graphs
    or for eager execution: mostly to what they are, which costs Python milliseconds all the same.
    """
    for keras in ('tf_keras.src', 'tensorflow.python.keras'):
        utils: Any = importlib.import_module(f'{keras}.utils.version_utils')
        utils.swap_class = _swapping_on_change(utils.swap_class)


def _swapping_on_change(swap_class: Any) -> Any:
    swapped: set[tuple[type, type]] = set()  # (class, Keras class for graphs), all in one way
    to_eager = None

    @functools.wraps(swap_class)
    def swap_on_change(cls: type, v2_cls: type, v1_cls: type, use_v2: bool) -> Any:
        nonlocal to_eager
        if to_eager is not use_v2:
            swapped.clear()
            to_eager = use_v2
        if (cls, v1_cls) in swapped:
            return cls
        result = swap_class(cls, v2_cls, v1_cls, use_v2)
        if result is cls:
            swapped.add((cls, v1_cls))
        return result

    return swap_on_change


def _regularize_variables_themselves() -> None:
    """Where a layer was given a `stand_in`, the regularizer sees the variable, once per variable.

    A layer regularizes each variable that is new to it, and every cast is new.
    """
    for keras in ('tf_keras.src', 'tensorflow.python.keras'):
        layer: Any = importlib.import_module(f'{keras}.engine.base_layer_v1').Layer
        layer._handle_weight_regularization = _regularizing_once(
            layer._handle_weight_regularization
        )


def _regularizing_once(handle: Any) -> Any:
    @functools.wraps(handle)
    def handle_once(layer: Any, name: str, variable: Any, regularizer: Any) -> None:
        stood_for = getattr(variable, _STANDS_FOR, None)
        if stood_for is None:
            handle(layer, name, variable, regularizer)
            return
        seen = variable.graph.get_collection_ref(_STANDS_FOR)
        if stood_for.name not in seen:
            seen.append(stood_for.name)
            handle(layer, name, stood_for, regularizer)

    return handle_once


def _restore_moved_names() -> None:
    """Attributes that tf-slim reads from tensorflow.python modules which no longer carry them."""
    import tensorflow as tf

    v1 = tf.compat.v1
    moved = {
        'tensorflow.python.framework.ops': {'Tensor': tf.Tensor, 'IndexedSlices': tf.IndexedSlices},
        'tensorflow.python.ops.array_ops': {'stack': tf.stack, 'unstack': tf.unstack},
        'tensorflow.python.ops.control_flow_ops': {
            'Assert': v1.Assert,
            'case': v1.case,
            'cond': v1.cond,
            'while_loop': v1.while_loop,
        },
        'tensorflow.python.ops.variable_scope': {'variable': v1.Variable},
    }
    for module_name, names in moved.items():
        module = importlib.import_module(module_name)
        for name, value in names.items():
            if not hasattr(module, name):
                setattr(module, name, value)


class _LateModule(types.ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _scikit_learn_comes_late() -> Iterator[None]:
    """What is imported within gets a scikit-learn that is imported when it is used.

    tf_slim asks for it for the scores of one loss, and gets all of SciPy's distributions with it: a
    second of processor time at every start.
    """
    name = 'sklearn.metrics'
    if name in sys.modules or not importlib.util.find_spec('sklearn'):
        yield
        return
    sys.modules[name] = _LateModule(name)
    try:
        yield
    finally:
        del sys.modules[name]


@functools.cache
def repaired_tf_slim() -> types.ModuleType:
    """The module tf_slim, in working order on TF 2.15 to 2.21."""
    _alias_legacy_layers()
    _leave_layers_unconverted()
    _answer_quickly_in_graphs()
    _compare_graph_variables_by_identity()
    _swap_layer_classes_on_change()
    _regularize_variables_themselves()
    _restore_moved_names()
    with _scikit_learn_comes_late():
        return importlib.import_module('tf_slim')


def stand_in(tensor: Any, variable: Any) -> Any:
    """`tensor`, which a layer takes for the variable; regularizers get the variable itself."""
    setattr(tensor, _STANDS_FOR, variable)
    return tensor


def replace_input(operation: Any, index: int, tensor: Any) -> None:
    """Feeds `tensor` to input number `index` of an operation that is already in the graph.

    TensorFlow has this only as a method of tensorflow.python.framework.ops.Operation.
    """
    operation._update_input(index, tensor)


def device_types_of_kernels(operation_type: str) -> set[str]:
    """The device types, such as 'CPU', that this process has kernels of an operation type for.

    TensorFlow has this only in tensorflow.python.framework.kernels.
    """
    kernels: Any = importlib.import_module('tensorflow.python.framework.kernels')
    registered = kernels.get_registered_kernels_for_op(operation_type)
    return {kernel.device_type for kernel in registered.kernel}
