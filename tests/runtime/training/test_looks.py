"""What TensorBoard and chrome://tracing get beside numbers; that looking changes no step."""

import io
import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from runtime import options
from runtime.training import looks, traces
from slim import errors


@pytest.mark.once
@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ('5', 'two numbers'),
        ('5,x', 'two numbers'),
        ('0,3', '1 <= FIRST <= LAST <= 20'),
        ('7,6', '1 <= FIRST <= LAST <= 20'),
        ('7,21', '1 <= FIRST <= LAST <= 20'),
    ],
)
def test_steps_that_will_never_be_are_refused(given, said):
    with pytest.raises(errors.UsageError, match=f'--profile_steps={given}: .*{said}'):
        traces.steps(options.WatchingOptions(profile_steps=given), 20)


def test_traced_are_the_runs_that_hold_the_steps(tmp_path):
    asked = []
    with tf.Graph().as_default(), tf.Session() as session:
        ones = tf.placeholder(tf.float32, [64, 64])
        total = tf.reduce_sum(ones, name='total')

        def run(**watched):
            asked.append(bool(watched))
            return session.run(total, {ones: np.ones([64, 64])}, **watched)

        tracer = traces.Tracer(str(tmp_path), 4, 5)
        said = []
        for reached in range(0, 12, 3):  # three steps in a run
            assert tracer.run(reached, 3, run) == 4096
            said += tracer.after_step(reached + 3)
    assert asked == [False, True, False, False]
    (line,) = said
    assert 'steps 4 to 6' in line
    written = json.loads((tmp_path / 'trace_4_6.json').read_text())['traceEvents']
    (total_event,) = [e for e in written if e['ph'] == 'X' and e['args']['name'] == 'total']
    assert total_event['name'] == 'Sum' and total_event['dur'] >= 1
    assert total_event['args']['step'] == 6
    assert list(tmp_path.glob('plugins/profile/*/*.xplane.pb'))


def test_operations_that_overlap_are_on_lines_of_their_own():
    stats = tf.RunMetadata().step_stats
    device = stats.dev_stats.add(device='/device:CPU:0')
    for name, start, secs in (('a', 10, 20), ('b', 15, 5), ('c', 21, 5), ('d', 30, 0)):
        device.node_stats.add(node_name=name, all_start_micros=start, all_end_rel_micros=secs)
    events = traces.chrome_trace([(3, stats)])['traceEvents']
    assert events[0]['args'] == {'name': '/device:CPU:0'}
    assert [(e['name'], e['tid']) for e in events[1:]] == [('a', 0), ('b', 1), ('c', 1), ('d', 0)]


@pytest.mark.once
@pytest.mark.parametrize('channels', [1, 3])
def test_samples_are_pictures_from_the_lowest_to_the_highest_value(channels):
    images = np.zeros([2, 4, 6, channels], np.float32)
    images[0, 1, 2], images[1, 3, 5] = -1.5, 1.5
    values = looks.samples(images).value
    assert [value.tag for value in values] == ['input/image/0', 'input/image/1']
    first, second = (
        np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string))) for value in values
    )
    assert first.shape == ((4, 6) if channels == 1 else (4, 6, 3))
    assert first[1, 2].max() == 0 and second[3, 5].min() == 255 and first[0, 0].min() == 128
