"""The Zehaos suite's MobileNet by its contract, the detector's head, and other bodies below it."""

from __future__ import annotations

import json
import pathlib

import golden_values
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from nets import detectors, mobilenet_zehaos, nets_factory
from slim import errors

_DATA = pathlib.Path(__file__).parents[1] / 'data' / 'detection'
_FACTS = json.loads((_DATA / 'zehaos_mobilenet.json').read_text())
_DETECTOR_SIZE = 375, 1242


def _size(variables):
    return sum(variable.shape.num_elements() for variable in variables)


@pytest.mark.parametrize('width', ['1.0', '0.75', '0.5'])
def test_variables_end_points_and_logits_are_the_contracts(graph, width):
    known, case = _FACTS['variables'][width], _FACTS['cases'][f'width {width}']
    build = nets_factory.get_network_fn('mobilenet', 1001, weight_decay=4e-5)
    images = golden_values.forward_images(f'zehaos_mobilenet_{width}', 224, 2, 3)
    logits, end_points = build(tf.constant(images), width_multiplier=float(width))
    variables = slim.get_model_variables()
    assert _size(variables) == known['total']
    assert _size(tf.trainable_variables()) == known['trainable']
    assert len(variables) == known['count']
    if 'list' in known:
        trainable = tf.trainable_variables()
        assert known['list'] == [
            [one.op.name, one.shape.as_list(), any(one is other for other in trainable)]
            for one in variables
        ]
    assert [[name, end.shape.as_list()] for name, end in end_points.items()] == known['end_points']
    decayed = tf.losses.get_regularization_losses()
    assert len(decayed) == known['regularization_losses']
    with tf.Session() as session:
        golden_values.initialize(session, variables, case['gain'])
        ours, decay = session.run([logits, tf.add_n(decayed)])
    with np.load(_DATA / 'zehaos_mobilenet.npz') as archive:
        wanted = archive[case['npz']]
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5 * case['logits_abs_max'])
    assert decay == pytest.approx(case['regularization_loss_wd_4e-5'], rel=1e-5)


def test_the_detectors_body_has_the_contracts_features(graph):
    random = golden_values._random('input/zehaos_mobilenetdet/375x1242')
    images = random.uniform(-1, 1, [1, *_DETECTOR_SIZE, 3]).astype(np.float32)
    last, end_points = nets_factory.get_network_fn('mobilenetdet', None)(tf.constant(images))
    with tf.Session() as session:
        golden_values.initialize(session, slim.get_model_variables(), 1.0)
        values = session.run([end_points['MobileNet/conv_ds_14/depthwise_conv'], last])
    for value, case in zip(values, list(_FACTS['cases'].values())[-2:], strict=True):
        assert list(value.shape) == case['shape']
        assert value.mean() == pytest.approx(case['mean'], rel=1e-4)
        assert value.std() == pytest.approx(case['std'], rel=1e-4)
        spread = value.reshape(-1)[:: value.size // 8]
        np.testing.assert_allclose(spread, case['values'], rtol=0, atol=2e-4)


def test_a_classifiers_checkpoint_starts_the_detector(graph, tmp_path):
    with tf.Graph().as_default():
        nets_factory.get_network_fn('mobilenet', 10)(tf.zeros([1, 32, 32, 3]))
        with tf.Session() as session:
            golden_values.initialize(session, slim.get_model_variables(), 1.0)
            path = tf.train.Saver(slim.get_model_variables()).save(session, f'{tmp_path}/model')
    nets_factory.get_network_fn('mobilenetdet', 3)(tf.zeros([1, 64, 96, 3]))
    body = [one for one in slim.get_model_variables() if 'conv_predict' not in one.op.name]
    assert len(body) == 137 - 2
    held = {name: shape for name, shape in tf.train.list_variables(path) if 'fc_16' not in name}
    assert {one.op.name: one.shape.as_list() for one in body} == held


@pytest.mark.once
@pytest.mark.parametrize(
    ('name', 'width', 'scope', 'channels', 'body'),
    [
        ('mobilenetdet', 1.0, 'MobileNet', 1024, 137 - 2),
        pytest.param('mobilenetdet', 0.25, 'MobileNet', 256, 137 - 2, marks=pytest.mark.slow),
        ('mobilenet_v1_025', 1.0, 'MobilenetV1', 256, 135),
        pytest.param('mobilenet_v2_035', 1.0, 'MobilenetV2', 1280, 260, marks=pytest.mark.slow),
        pytest.param('mobilenet_v2', 0.35, 'MobilenetV2', 448, 260, marks=pytest.mark.slow),
    ],
)
def test_one_head_on_each_body(graph, name, width, scope, channels, body):
    images = tf.placeholder(tf.float32, [2, 100, 200, 3])
    layer, _ = detectors.get_detector_fn(name, 3, 1e-4, True, width)(images)
    assert layer.shape.as_list() == [2, 4, 7, 72]
    head = {
        one.op.name: one.shape.as_list()
        for one in slim.get_model_variables()
        if 'conv_predict' in one.op.name
    }
    assert head == {
        f'{scope}/conv_predict/weights': [3, 3, channels, 72],
        f'{scope}/conv_predict/biases': [72],
    }
    assert len(slim.get_model_variables()) == body + 2
    decayed = {loss.op.name for loss in tf.losses.get_regularization_losses()}
    assert decayed
    assert not [loss for loss in decayed if 'conv_predict' in loss]
    unreached = [
        variable.op.name
        for variable, gradient in zip(
            tf.trainable_variables(), tf.gradients(layer, tf.trainable_variables()), strict=True
        )
        if gradient is None
    ]
    # The last pointwise and its norm included, which the first author's head left out.
    assert unreached == []
    dropped = [op for op in graph.get_operations() if 'dropout_predict' in op.name]
    assert dropped


@pytest.mark.once
def test_an_untrained_head_says_next_to_nothing_and_drops_only_in_training(graph):
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, [1, 64, 64, 3]), tf.float32)
    layer, _ = detectors.get_detector_fn('mobilenetdet', 3, width_multiplier=0.25)(images)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        first, second = session.run(layer), session.run(layer)
    assert 0 < np.abs(first).max() < 0.1
    np.testing.assert_array_equal(first, second)


@pytest.mark.once
def test_what_is_refused(graph):
    with pytest.raises(errors.UsageError, match=r'resnet_v1_50.*mobilenetdet'):
        detectors.get_detector_fn('resnet_v1_50', 3)
    images = tf.zeros([1, 64, 64, 3])
    for arguments, message in (
        ({'num_classes': -1}, 'num_classes is -1'),
        ({'width_multiplier': 0}, 'depth multiplier is 0'),
    ):
        with pytest.raises(errors.UsageError, match=message):
            mobilenet_zehaos.mobilenetdet(images, **arguments)
    with pytest.raises(errors.UsageError, match='above 256 x 256'):
        mobilenet_zehaos.mobilenet(tf.zeros([1, 257, 64, 3]))
    with pytest.raises(errors.UsageError, match='expected'):
        mobilenet_zehaos.mobilenetdet(tf.zeros([64, 64, 3]))
    assert not tf.global_variables()
