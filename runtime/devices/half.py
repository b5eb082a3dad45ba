"""A network computed in 16 bits, with variables of 32: how a GPU gets bf16 and fp16.

The graph is that of fp32 with casts in it, so that names, shapes, variables and checkpoints are the
same. The images are cast, and each layer then asks for variables of 16 bits. What it gets is a
float32 variable, cast where it is used. Batch norm asks for float32, and so does the classifier
(`nets/full_precision.py`); they get the variables themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from slim import compat

# What networks can compute in, by the name that --dtype gives it.
TYPES = {'bf16': tf.bfloat16, 'fp16': tf.float16}


def computing_in(dtype: str, network_fn: Callable[..., Any]) -> Callable[..., Any]:
    """The network with its activations and gradients in `dtype`, a key of TYPES.

    Arguments and attributes are those of `network_fn`; images of any type are cast. Logits and all
    else that it returns for a loss is float32.
    """

    @functools.wraps(network_fn)
    def in_16_bits(images: Any, *args: Any, **kwargs: Any) -> Any:
        # By the present scope once more, as `model_deploy.create_clones` does: names stay.
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=_cast_where_used):
            logits, end_points = network_fn(tf.cast(images, TYPES[dtype]), *args, **kwargs)
        return tf.cast(logits, tf.float32), end_points

    return in_16_bits


def _cast_where_used(getter: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """For tf.variable_scope: stores in float32 what a layer wants in 16 bits."""
    wanted = kwargs.get('dtype')
    if wanted is None or tf.as_dtype(wanted) not in TYPES.values():
        return getter(*args, **kwargs)
    variable = getter(*args, **{**kwargs, 'dtype': tf.float32})
    # Where a clone on another device reads the variable it also casts it.
    return compat.stand_in(tf.cast(variable, wanted), variable)
