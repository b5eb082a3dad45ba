"""Precision: what each device has, the conversion file of the HPU, bf16 on a CPU by numbers."""

import json
import pathlib
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime import options
from runtime.devices import bf16_config, cpu_bf16, precision
from slim import errors

BF16 = options.DeviceOptions(dtype='bf16')


def test_fp16_is_for_a_gpu_and_the_others_are_told_what_to_do():
    fp16 = options.DeviceOptions(dtype='fp16')
    for device_type in ('CPU', 'HPU'):
        precision.check_device(device_type, BF16)
        with pytest.raises(errors.UsageError, match=f'{device_type}: use --dtype=bf16'):
            precision.check_device(device_type, fp16)
    for chosen in (BF16, fp16):
        precision.check_device('GPU', chosen)


def test_only_on_a_gpu_is_the_network_another_one():
    def network(images):
        return 2 * images, {'net': images}

    for device_type, dtype in (('GPU', 'fp32'), ('CPU', 'bf16'), ('HPU', 'bf16')):
        assert precision.adapt_network(device_type, dtype, network) is network
    for dtype, expected in (('bf16', tf.bfloat16), ('fp16', tf.float16)):
        logits, end_points = precision.adapt_network('GPU', dtype, network)(tf.ones([2, 3]))
        assert end_points['net'].dtype == expected
        assert logits.dtype == tf.float32


@pytest.fixture
def config_file(tmp_path):
    def write(content):
        path = tmp_path / 'lists.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def test_a_conversion_file_is_for_bf16_on_an_hpu(config_file):
    path = config_file({'allowlist': ['Conv2D']})
    with pytest.raises(errors.UsageError, match='no effect without --dtype=bf16'):
        precision.check_flags(options.DeviceOptions(bf16_config_path=path))
    chosen = options.DeviceOptions(dtype='bf16', bf16_config_path=path)
    precision.check_flags(chosen)
    precision.check_device('HPU', chosen)
    with pytest.raises(errors.UsageError, match='is for an HPU'):
        precision.check_device('CPU', chosen)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"allowlist": ', 'is no JSON'),
        (['Conv2D'], 'an object with allowlist'),
        ({'allow_list': ['Conv2D']}, "'allow_list' is now spelt 'allowlist'"),
        ({'whitelist': ['Conv2D']}, "'whitelist' is now spelt 'allowlist'"),
        ({'allowlists': ['Conv2D']}, "unknown key 'allowlists'. Did you mean 'allowlist'"),
        ({'allowlist': 'Conv2D'}, 'allowlist must be a list'),
        ({'allowlist': ['Conv 2D']}, "'Conv 2D' is no operation type"),
        ({'allowlist': [1]}, '1 is no operation type'),
        ({'allowlist': []}, 'nothing would be converted'),
        ({'convertible_exceptions': ['.*']}, r'must be \["regular expression"'),
        ({'convertible_exceptions': [['(', '']]}, "'\\(' is no regular expression"),
    ],
)
def test_a_conversion_file_that_the_library_would_not_understand(config_file, content, message):
    with pytest.raises(errors.UsageError, match=f'--bf16_config_path=.*{message}'):
        bf16_config.check(config_file(content))


def test_a_conversion_file_that_is_not_there(tmp_path):
    with pytest.raises(errors.UsageError, match='cannot be read'):
        bf16_config.check(str(tmp_path / 'none.json'))


def test_the_shipped_conversion_file_is_valid_and_has_depthwise_convolutions():
    path = pathlib.Path(bf16_config.__file__).with_name('bf16_mobilenet.json')
    bf16_config.check(str(path))
    allowed = json.loads(path.read_text())['allowlist']
    # The library's own short list, 'basic', leaves them out.
    assert {'DepthwiseConv2dNative', 'DepthwiseConv2dNativeBackpropInput'} <= set(allowed)


@pytest.mark.parametrize(
    ('cpuinfo', 'expected', 'possible'),
    [
        ('processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n', True, True),
        ('flags : fpu amx_bf16\n', True, True),
        ('processor : 0\nflags : fpu avx512f\nbugs : avx512_bf16\n', False, True),
        ('flags : fpu avx avx2\nbugs : avx512f\n', False, False),
        ('Features : fp asimd bf16\n', True, True),
        ('', False, False),
    ],
)
def test_a_cpu_without_instructions_for_bf16_is_known(cpuinfo, expected, possible):
    assert cpu_bf16.has_instructions(cpuinfo) == expected
    assert cpu_bf16.is_possible(cpuinfo) == possible


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        ('avx512f', r'bf16 \(slower than fp32 here.*'),
        ('avx2', r'bf16 \(without effect: .* the run computes in fp32\)'),
        ('avx512f avx512_bf16', 'bf16'),
    ],
)
def test_the_log_says_what_bf16_is_worth_on_this_cpu(monkeypatch, flags, words):
    monkeypatch.setattr(precision, '_cpuinfo', lambda: f'flags : {flags}\n')
    assert re.fullmatch(words, precision.describe('CPU', 'bf16'))
    assert precision.describe('CPU', 'fp32') == 'fp32'


def test_a_cpu_that_cannot_keeps_the_graph_of_fp32(monkeypatch):
    monkeypatch.setattr(precision, '_cpuinfo', lambda: 'flags : avx2\n')
    loss = object()
    assert precision.adapt_training_graph('CPU', 'bf16', loss) == (loss, [])


# ---- the graph on a CPU ----


def _block(images, channels=32):
    """What a MobileNet is made of: convolution, batch norm, Relu6, a depthwise one with stride."""
    layers = [slim.conv2d, slim.separable_conv2d]
    with (
        slim.arg_scope(layers, activation_fn=tf.nn.relu6, normalizer_fn=slim.batch_norm),
        slim.arg_scope([slim.batch_norm], fused=True, is_training=True, decay=0.9),
    ):
        net = slim.conv2d(images, channels, [3, 3])
        net = slim.separable_conv2d(net, None, [3, 3], stride=2, scope='strided')
        net = slim.conv2d(net, 24, [1, 1])
    logits = slim.conv2d(tf.reduce_mean(net, [1, 2], keepdims=True), 4, [1, 1], activation_fn=None)
    return tf.squeeze(logits, [1, 2])


class _Block:
    """The block with its gradients in a session of one precision."""

    def __init__(self, dtype):
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(3)
            self.images = tf.placeholder(tf.float32, [4, 16, 16, 3])
            labels = tf.one_hot([0, 1, 2, 3], 4)
            loss = tf.losses.softmax_cross_entropy(labels, _block(self.images))
            pairs = tf.train.GradientDescentOptimizer(0.1).compute_gradients(loss)
            self.loss, self.kept = precision.adapt_training_graph('CPU', dtype, loss)
            self.gradients = {variable.op.name: gradient for gradient, variable in pairs}
            config = tf.ConfigProto()
            precision.configure(config, 'CPU', dtype)
            self.session = tf.Session(config=config)
            self.session.run(tf.global_variables_initializer())
        self.graph = graph

    def run(self, images, **arguments):
        fetches = [self.loss, self.gradients, list(self.kept)]
        return self.session.run(fetches, {self.images: images}, **arguments)[:2]


# TensorFlow leaves the graph in float32 on other CPUs, and there is nothing to see.
needs_bf16 = pytest.mark.skipif(
    not cpu_bf16.is_possible(precision._cpuinfo()), reason='TensorFlow computes no bf16 on this CPU'
)
IMAGES = np.random.default_rng(1).normal(size=[4, 16, 16, 3]).astype(np.float32)


@needs_bf16
def test_bf16_gives_the_loss_and_gradients_of_fp32_to_its_precision():
    expected_loss, expected = _Block('fp32').run(IMAGES)
    loss, gradients = _Block('bf16').run(IMAGES)
    # bfloat16 has 8 bits; so not the same numbers either.
    assert loss == pytest.approx(expected_loss, rel=0.02)
    assert loss != expected_loss
    for name, gradient in gradients.items():
        scale = np.abs(expected[name]).max() + 1e-4
        assert np.abs(gradient - expected[name]).max() < 0.15 * scale, name
        assert gradient.dtype == np.float32


@needs_bf16
def test_convolutions_run_in_bf16_but_what_is_slow_there_and_state_do_not():
    block = _Block('bf16')
    report = tf.RunMetadata()
    block.run(IMAGES, options=tf.RunOptions(output_partition_graphs=True), run_metadata=report)
    types = {}
    for node in report.partition_graphs[0].node:
        kind = node.op.replace('_MklNative', '').replace('_Mkl', '').lstrip('_')
        stride = max(node.attr['strides'].list.i, default=1)
        types.setdefault((kind, stride > 1), set()).add(tf.DType(node.attr['T'].type or 1).name)
    assert types['Conv2DBackpropFilter', False] == {'bfloat16'}
    assert types['DepthwiseConv2dNative', True] == {'bfloat16'}
    assert types['DepthwiseConv2dNativeBackpropInput', True] == {'float32'}
    # 32 channels and 24: those that are no multiple of 16 stay.
    assert types['FusedBatchNormGradV3', False] == {'bfloat16', 'float32'}
    assert types['SoftmaxCrossEntropyWithLogits', False] == {'float32'}
    with block.graph.as_default():
        assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {tf.float32}


def test_nan_reaches_the_loss_through_activations_that_would_hide_it():
    images = IMAGES.copy()
    images[0, 0, 0, 0] = np.nan
    loss, _ = _Block('bf16').run(images)
    assert np.isnan(loss)


def test_fp32_leaves_the_graph_as_it_is():
    block = _Block('fp32')
    assert block.kept == []
    assert not any('bf16' in operation.name for operation in block.graph.get_operations())
