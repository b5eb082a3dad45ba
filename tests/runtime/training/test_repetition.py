"""The loop around a step, for what the tests of the whole loop do not see."""

import pytest
import tensorflow.compat.v1 as tf

from runtime.devices import placement
from runtime.training import repetition
from runtime.training import step as step_lib
from slim import errors


@pytest.fixture
def several():
    """A step that counts and multiplies, on a device that is not there, up to four times."""
    with tf.Graph().as_default():
        step = tf.train.create_global_step()
        with tf.device('/device:GPU:0'):
            product = tf.matmul(tf.fill([2, 2], tf.cast(step, tf.float32)), tf.ones([2, 2]))
        with tf.control_dependencies([product]):
            counted = step.assign_add(1, read_value=True)
        fetches = {
            'step': counted,
            'loss': product[0, 0],
            'losses': {'a/b': product[1, 1], 'c': tf.constant(3.0)},
            'also_run': [product.op],
        }
        flags = [tf.placeholder_with_default(False, []) for _ in range(2)]
        built = step_lib.Step(fetches, *flags, weights_finite=tf.constant(True), averages=None)
        yield repetition.repeated(built, 4)


def run(step, **arguments):
    with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as session:
        session.run(tf.global_variables_initializer())
        return [session.run(step.fetches, {step.count: count}, **arguments) for count in (4, 1)]


def test_each_step_has_its_values_under_their_names(several):
    four, one = (repetition.outcomes(values) for values in run(several))
    assert [values['step'] for values in four + one] == [1, 2, 3, 4, 5]
    assert [values['loss'] for values in four + one] == [0, 2, 4, 6, 8]
    assert four[3]['losses'] == {'a/b': 6, 'c': 3}


def test_the_look_at_the_placement_knows_the_operations_of_a_loop(several):
    report = tf.RunMetadata()
    run(several, options=tf.RunOptions(output_partition_graphs=True), run_metadata=report)
    with pytest.raises(errors.DeviceError, match=r'body/.*MatMul.* is on CPU:0, not on GPU:0'):
        placement.check(tf.get_default_graph(), report.partition_graphs)
