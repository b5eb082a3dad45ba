"""What every network of the factory refuses, before it creates a variable."""

from __future__ import annotations

from typing import Any

import network_facts
import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory
from slim import errors

NETWORKS = network_facts.networks()

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]


def _refuses(name: str, shape: list[int] | None, num_classes: int, message: str) -> None:
    network_fn = nets_factory.get_network_fn(name, num_classes)
    with pytest.raises(errors.UsageError, match=message):
        network_fn(tf.placeholder(tf.float32, shape))
    assert not tf.global_variables()


def _shape(name: str) -> list[int]:
    return network_facts.load_contract(name)['input_shape']


@pytest.mark.parametrize('name', NETWORKS)
def test_images_of_a_wrong_rank(name: str) -> None:
    shape = _shape(name)
    _refuses(name, shape[:-1], 10, r'have shape \(2, .*; expected \[batch, .*height')
    _refuses(name, [2, *shape], 10, r'have shape \(2, 2, .*; expected')
    _refuses(name, None, 10, r'have shape <unknown>; expected')


@pytest.mark.parametrize('name', NETWORKS)
def test_a_negative_number_of_classes(name: str) -> None:
    _refuses(name, _shape(name), -1, 'num_classes is -1')


@pytest.mark.parametrize('name', NETWORKS)
def test_an_image_is_large_enough_or_refused(name: str) -> None:
    """The smallest image that is not refused can be built."""
    network_fn = nets_factory.get_network_fn(name, 10)
    *leading, _, _, channels = _shape(name)
    variables: list[tf.Tensor] = []

    def stand_in(getter: Any, name: str, shape: Any, dtype: Any, **_: Any) -> tf.Tensor:
        """What a variable is to the shape of the logits; as one, it would be most of the test."""
        variables.append(tf.placeholder(dtype, shape, name=f'{name}/stand_in'))
        assert 0 not in variables[-1].shape.as_list(), name
        return variables[-1]

    for size in range(1, 513):
        images = tf.placeholder(tf.float32, [*leading, size, size, channels])
        try:
            with tf.variable_scope('', custom_getter=stand_in):
                logits, _ = network_fn(images)
        except errors.UsageError as error:
            assert f'{size} x {size}' in str(error)
            assert not variables
        else:
            assert logits.shape.as_list() == [leading[0], 10]
            assert variables and not tf.global_variables()
            return
    raise AssertionError('refuses every size')
