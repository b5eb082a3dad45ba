"""Layers of a small network, and how one fits a checkpoint, in all forms."""

import csv
import io
import json

import pytest
import tensorflow.compat.v1 as tf

import slim
from runtime.checkpoints import fitting
from runtime.results import inspection, tables


def network(images):
    net = slim.conv2d(images, 4, [3, 3], stride=2, normalizer_fn=slim.batch_norm, scope='first')
    net = slim.batch_norm(net, scope='alone')
    net = slim.separable_conv2d(net, 6, [3, 3], depth_multiplier=1, scope='apart')
    net = slim.max_pool2d(net, [2, 2], scope='pool')
    tf.get_variable('loose', [5], collections=['variables', tf.GraphKeys.MODEL_VARIABLES])
    return slim.fully_connected(slim.flatten(net), 10, scope='logits')


@pytest.fixture
def built():
    with tf.Graph().as_default():
        inspection.build(network, (8, 8, 3))
        yield


def test_each_layer_has_what_is_its_own(built):
    rows = [(row.name, row.kind, row.output, row.parameters) for row in inspection.layers()]
    assert rows == [
        ('first', 'convolution', [1, 4, 4, 4], 3 * 3 * 3 * 4 + 3 * 4),
        ('alone', 'batch norm', [1, 4, 4, 4], 3 * 4),
        ('apart', 'depthwise', [1, 4, 4, 4], 3 * 3 * 4),
        ('apart', 'convolution', [1, 4, 4, 6], 4 * 6 + 6),
        ('pool', 'max pooling', [1, 2, 2, 6], 0),
        ('logits', 'fully connected', [1, 10], 24 * 10 + 10),
        ('', 'variables', None, 5),
    ]
    assert [row.multiply_adds for row in inspection.layers()] == [
        *(4 * 4 * 4 * 27, 0, 4 * 4 * 4 * 9, 4 * 4 * 6 * 4, 0, 240, 0)
    ]


def test_the_report_has_the_same_sums_in_every_form(built):
    about = {'network': 'small', 'classes': 10, 'input': (8, 8, 3)}
    parsed = json.loads(inspection.report(about, 'json'))
    parameters = sum(variable.shape.num_elements() for variable in slim.get_model_variables())
    learn = parameters - 2 * (4 + 4)
    assert (parsed['parameters'], parsed['trainable_parameters']) == (parameters, learn)
    assert parsed['layers'][0]['output'] == [1, 4, 4, 4]
    rows = list(csv.DictReader(io.StringIO(inspection.report(about, 'csv'))))
    assert rows[0]['layer'] == 'first' and rows[0]['output'] == '1x4x4x4'
    assert sum(int(row['parameters']) for row in rows) == parameters
    assert sum(int(row['multiply_adds']) for row in rows) == parsed['multiply_adds']
    text = inspection.report(about, 'table').splitlines()
    assert text[0].split() == ['layer', 'kind', 'output', 'parameters', 'multiply_adds']
    assert text[-1] == (
        f'small: {parameters} parameters, {learn} of them learn; '
        f'{parsed["multiply_adds"]:,} multiply-adds for an input of 8x8x3'
    )


HELD = {
    'first/weights': [3, 3, 3, 4],
    'first/weights/Momentum': [3, 3, 3, 4],
    'alone/beta': [9],
    'logits/weights': [24, 7],
    'other/weights': [2],
    'other/weights/Adam': [2],
    'beta1_power': [],
    'global_step': [],
}


def variable(name, shape):
    return tf.get_variable(name, shape)


def fit(num_classes, last):
    with tf.Graph().as_default():
        variables = [
            variable('first/weights', [3, 3, 3, 4]),
            variable('alone/beta', [4]),
            variable('alone/gamma', [4]),
            variable('logits/weights', [24, last]),
        ]
        return fitting.compare('small', num_classes, HELD, variables)


def test_a_fit_names_what_is_missing_misshapen_and_left_over():
    found = fit(fitting.UNKNOWN_CLASSES, fitting.UNKNOWN_CLASSES)
    assert found.num_classes == 7
    assert found.missing == ('alone/gamma',)
    assert found.misshapen == ('alone/beta is [9] in the checkpoint and [4] here',)
    assert found.left_over == ('other/weights',)
    assert not found.fits

    of_ten = fit(10, 10)
    assert of_ten.num_classes == 10
    assert of_ten.misshapen[1] == 'logits/weights is [24, 7] in the checkpoint and [24, 10] here'
    assert found.distance < of_ten.distance


def test_the_report_of_fits_has_a_line_for_each_and_details_of_the_closest():
    fits = [fit(fitting.UNKNOWN_CLASSES, fitting.UNKNOWN_CLASSES), fit(10, 10)]
    lines = inspection.fit_report(fits, 'table').splitlines()
    assert lines[0].split() == ['network', 'classes', 'fits', 'missing', 'misshapen', 'left_over']
    assert lines[1].split() == ['small', '7', 'no', '1', '1', '1']
    assert lines[2].split() == ['small', '10', 'no', '1', '2', '1']
    assert '  alone/gamma' in lines and '  other/weights' in lines
    assert 'of another shape: 1' in lines
    parsed = json.loads(inspection.fit_report(fits, 'json'))
    assert parsed[0]['missing'] == ['alone/gamma'] and parsed[0]['fits'] is False
    assert inspection.fit_report(fits, 'csv').splitlines()[2] == 'small,10,no,1,2,1'


def test_averages_count_as_their_variables(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        variable('a', [2])
        variable('b/ExponentialMovingAverage', [3])
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'))
    assert fitting.held_variables(prefix) == {'a': [2], 'b': [3]}


def test_a_table_is_as_wide_as_its_values_and_numbers_stand_to_the_right():
    rows = [('a\x1b', 12345), ('long name', None), ('b', 7)]
    assert tables.text(('name', 'count'), rows).splitlines() == [
        'name        count',
        'a\\x1b      12,345',
        'long name',
        'b               7',
    ]
