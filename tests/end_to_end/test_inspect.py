"""inspect_network.py as a user runs it."""

import json
import resource

import pytest

INSPECT = 'inspect_network.py'


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.once
def test_names_are_listed_at_once_and_without_tensorflow(script, tmp_path):
    for package in ('tensorflow', 'tf_slim', 'numpy', 'PIL'):
        (tmp_path / f'{package}.py').write_text('raise SystemExit("imported")')
    before = cpu_seconds()
    poisoned = {'PYTHONPATH': str(tmp_path)}.items()
    out = script(INSPECT, '--list', fresh=True, environment=poisoned).stdout
    assert cpu_seconds() - before < 0.5
    for name in ('mobilenet_v2_035', 'digits', 'flowers', 'rmsprop', 'cosine'):
        assert name in out


def test_a_network_is_shown_layer_by_layer(script):
    arguments = ['--model_name=lenet', '--use_grayscale', '--num_classes=7', '--image_size=32']
    shown = json.loads(script(INSPECT, *arguments, '--format=json').stdout)
    assert (shown['network'], shown['classes'], shown['input']) == ('lenet', 7, [32, 32, 1])
    assert [layer['layer'] for layer in shown['layers']][::5] == ['LeNet/conv1', 'LeNet/fc4']
    assert shown['layers'][-1]['output'] == [1, 7]


@pytest.mark.slow
@pytest.mark.once
def test_the_network_of_a_checkpoint_is_known_found_or_refused(script, trained):
    known = script(INSPECT, f'--checkpoint_path={trained}').stdout.splitlines()
    assert [line.split()[:3] for line in known[1:]] == [['mobilenet_v1_025', '10', 'yes']]
    lost = script(INSPECT, f'--checkpoint_path={trained}', '--ignore_sidecar').stdout.splitlines()
    assert lost[1].split() == ['mobilenet_v1_025', '10', 'yes', '0', '0', '0']
    assert sorted(line.split()[2] for line in lost[1:]) == ['no', 'no', 'no', 'yes']
    other = ['--model_name=cifarnet', '--format=json']
    (fit,) = json.loads(script(INSPECT, f'--checkpoint_path={trained}', *other, code=1).stdout)
    assert 'CifarNet/conv1/weights' in fit['missing']
    assert 'MobilenetV1/Conv2d_0/weights' in fit['left_over']


@pytest.mark.once
@pytest.mark.parametrize(
    ('arguments', 'code', 'words'),
    [
        ([], 2, '--model_name, --checkpoint_path or --list'),
        (['--model_name=mobilnet_v2'], 2, "'mobilenet_v2'"),
        (['--model_name=vgg_16', '--image_size=3'], 2, 'at least 224 x 224'),
        (['--model_name=lenet', '--num_frames=4'], 2, 'lenet takes images, not videos'),
        (['--checkpoint_path=NONE'], 1, '--checkpoint_path=NONE: no such checkpoint'),
    ],
)
def test_wrong_input_is_one_line(script, arguments, code, words):
    failed = script(INSPECT, *arguments, code=code)
    (line,) = [line for line in failed.stderr.splitlines() if 'error: ' in line]
    assert words in line and failed.stdout == ''
