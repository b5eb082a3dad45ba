"""The registry and `get_network_fn`."""

from __future__ import annotations

import network_facts
import pytest
import tensorflow.compat.v1 as tf
from network_facts import CONTRACT

import slim
from nets import nets_factory
from slim import errors

pytestmark = pytest.mark.usefixtures('graph')


def test_maps_are_the_rows():
    names = [network.name for network in nets_factory.NETWORKS]
    assert len(set(names)) == len(names)
    assert list(nets_factory.networks_map) == names
    assert list(nets_factory.arg_scopes_map) == names
    assert {'mobilenet_v2', 'mobilenet_v2_140', 'mobilenet_v2_035'} <= set(names)


def test_a_misspelt_network_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown network 'mobilnet_v2'.*mean 'mobilenet_v2'"):
        nets_factory.get_network_fn('mobilnet_v2', num_classes=10)
    with pytest.raises(errors.UsageError):
        nets_factory.get_network_fn('', num_classes=10)


def test_a_network_added_by_the_user_gets_its_arg_scope_and_arguments(monkeypatch):
    seen = {}

    @slim.add_arg_scope
    def layer(images, weight_decay=None):
        seen['weight_decay'] = weight_decay
        return images

    def network(images, num_classes, is_training, depth=1):
        seen.update(num_classes=num_classes, is_training=is_training, depth=depth)
        return layer(images), {}

    def arg_scope(weight_decay):
        with slim.arg_scope([layer], weight_decay=weight_decay) as scope:
            return scope

    monkeypatch.setitem(nets_factory.networks_map, 'mine', network)
    monkeypatch.setitem(nets_factory.arg_scopes_map, 'mine', arg_scope)
    network_fn = nets_factory.get_network_fn('mine', 7, weight_decay=0.25, is_training=True)
    network_fn(tf.zeros([1, 4, 4, 3]), depth=2)
    assert seen == {'num_classes': 7, 'is_training': True, 'depth': 2, 'weight_decay': 0.25}
    assert not hasattr(network_fn, 'default_image_size')


def test_without_weight_decay_there_is_no_loss_to_add():
    network_fn = nets_factory.get_network_fn('mobilenet_v2', num_classes=10)
    network_fn(tf.zeros([1, 32, 32, 3]), final_endpoint='layer_3')
    assert not tf.losses.get_regularization_losses()


def test_a_decay_that_no_row_takes_is_refused_with_the_reason(monkeypatch):
    with pytest.raises(errors.UsageError, match="'lenet' has no batch norm"):
        nets_factory.get_network_fn('lenet', 10, batch_norm_decay=0.9)
    monkeypatch.setitem(nets_factory.networks_map, 'mine', lambda images: images)
    with pytest.raises(errors.UsageError, match=r"'mine' has no row .* in its arg scope"):
        nets_factory.get_network_fn('mine', 10, batch_norm_decay=0.9)


def test_every_contract_has_its_network():
    contracts = {path.name.removesuffix('.json.gz') for path in CONTRACT.glob('*.json.gz')}
    assert contracts == set(network_facts.classifiers())
