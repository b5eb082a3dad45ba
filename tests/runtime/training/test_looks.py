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


def watched_run(chosen, begins):
    """Four steps of a net of one layer: what was seen beside them, by step and tag, and the number
    of sets of fetches and fed tensors, for each of which a session prepares the graph once more."""
    found, prepared = {}, set()

    def add_summary(summary, step):
        found.setdefault(step, set()).update(value.tag for value in summary.value)

    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.create_global_step().assign_add(1, read_value=True)
        images = tf.random.stateless_uniform([2, 3, 3, 1], [1, 2])
        weights = tf.get_variable('weights', [9, 5], use_resource=True)
        layer = tf.nn.relu(tf.reshape(images, [2, 9]) @ weights)
        end_points = {'layer': layer, 'classes': tf.argmax(layer, -1)}
        fetches = {'step': step}
        looker = looks.Looker(chosen, looks.add(chosen, images, end_points, fetches), 3, begins)
        session.run(tf.global_variables_initializer())

        def run(wanted, fed):
            prepared.add((frozenset(wanted), frozenset(fed)))
            return session.run(wanted, fed)

        for reached in range(4):
            assert looker.run(reached, 1, fetches, {}, run) == {'step': reached + 1}
            looker.after_step(reached + 1, add_summary)
        assert looker.close() == []
    return found, len(prepared)


HISTOGRAMS = {'activations/layer', 'sparsity/layer', 'weights/weights'}
HYPER_PARAMETERS = {'_hparams_/session_start_info'}


def test_each_look_is_taken_when_it_is_due(train_flags, monkeypatch):
    given = train_flags(save_sample_images=1, save_histograms=True, save_summaries_secs=20)
    now = iter([0.0, 10.0, 20.0, 30.0] * 2)
    monkeypatch.setattr(looks.time, 'monotonic', lambda: next(now))
    begun, _ = watched_run(given, begins=True)
    assert begun == {1: {'input/image/0'} | HISTOGRAMS | HYPER_PARAMETERS, 3: HISTOGRAMS}
    resumed, _ = watched_run(given, begins=False)
    assert resumed == {1: HISTOGRAMS | HYPER_PARAMETERS, 3: HISTOGRAMS}


def test_what_was_not_asked_for_is_not_there(train_flags):
    found = watched_run(train_flags(save_sample_images=0), begins=True)
    assert found == ({1: HYPER_PARAMETERS}, 1)


def test_images_cost_no_second_preparation_of_the_step(train_flags):
    found = watched_run(train_flags(save_sample_images=2), begins=True)
    assert found == ({1: {'input/image/0', 'input/image/1'} | HYPER_PARAMETERS}, 1)


@pytest.mark.parametrize('flag', ['steps_per_run', 'accumulate_steps'])
def test_what_is_in_a_loop_is_not_fetched(train_flags, flag):
    assert looks.add(train_flags(**{flag: 2}), 'images', {}, {}) == looks.Looks()


def test_hyper_parameters_are_what_the_result_depends_on(train_flags):
    from tensorboard.plugins.hparams import plugin_data_pb2

    (value,) = looks.hyper_parameters(train_flags(momentum=0.75, model_name='lenet'), 3).value
    content = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    told = content.session_start_info.hparams
    assert told['momentum'].number_value == 0.75
    assert told['num_workers'].number_value == 3
    assert told['model_name'].string_value == 'lenet'
    assert 'log_every_n_steps' not in told
