"""What can be wrong is one line with the value and the way out, and leaves nothing behind."""

import io
import os
import shutil

import processes
import pytest
from PIL import Image

TRAIN, EVALUATE, DEMO = (
    'train_image_classifier.py',
    'eval_image_classifier.py',
    'demo_mobilenetv2.py',
)
EXPORT = 'export_inference_graph.py'
SCRIPTS = [
    *sorted(path.name for path in processes.ROOT.glob('*.py')),
    'tools/generate_scenes.py',
    'tools/kitti_random_split_train_val.py',
    'tools/tf_convert_data.py',
]


@pytest.mark.parametrize('name', SCRIPTS)
def test_help_needs_no_tensorflow_no_card_and_no_data(script, name, tmp_path):
    (tmp_path / 'poison').mkdir()
    for package in (
        'tensorflow',
        'tf_slim',
        'horovod',
        'sklearn',
        'PIL',
        'numpy',
        'google_crc32c',
        'matplotlib',
    ):
        (tmp_path / 'poison' / f'{package}.py').write_text('raise SystemExit("imported")')
    poisoned = {'PYTHONPATH': str(tmp_path / 'poison')}.items()
    shown = script(name, '--help', environment=poisoned, fresh=True)
    assert f'flags of {os.path.basename(name)}' in shown.stdout
    assert shown.stderr == ''


@pytest.mark.once
@pytest.mark.parametrize(
    ('name', 'flag', 'written'),
    [
        ('preprocess_imagenet.py', 'raw_data_dir', False),
        ('preprocess_imagenet.py', 'local_scratch_dir', True),
        ('download_and_convert_data.py', 'dataset_dir', True),
        ('download_and_convert_data.py', 'source_dir', False),
        ('verify_dataset.py', 'dataset_dir', False),
    ],
)
def test_paths_of_the_other_scripts_are_read_in_the_same_way(script, name, flag, written, tmp_path):
    failed = script(name, f'--{flag}=~nobody-of-that-name/x', code=2)
    assert 'no such home folder' in failed.stderr
    if written:
        assert f'--{flag}=: must not be empty' in script(name, f'--{flag}=', code=2).stderr
    assert os.listdir(tmp_path) == []


MOBILENET = ['--model_name=mobilenet_v2']

# Refused in a fresh interpreter; the other ones by the server of scripts.
FRESH = ('--device=hpu', '--checkpoint_path=EMPTY')
# arguments, exit code, words of the message
WRONG = [
    ([TRAIN], 2, ['--dataset_dir']),
    ([TRAIN, '--dataset_dir=DIGITS', '--bach_size=3'], 2, ['bach_size', 'batch_size']),
    ([TRAIN, '--dataset_dir=DIGITS', '--batch_size=0'], 2, ['batch_size=0', 'at least 1']),
    ([TRAIN, '--dataset_dir=DIGITS', '--optimizer=rmsprob'], 2, ['rmsprop']),
    ([TRAIN, '--dataset_dir=DIGITS', '--num_ps_tasks=1'], 2, ['Horovod']),
    ([TRAIN, '--dataset_dir=DIGITS', 'more'], 2, ["'more'"]),
    ([TRAIN, '--dataset_dir=DIGITS', '--model_name=mobilnet_v2'], 2, ["'mobilenet_v2'"]),
    ([TRAIN, '--dataset_dir=DIGITS', '--preprocessing_name=inceptoin'], 2, ["'inception'"]),
    ([TRAIN, '--dataset_dir=DIGITS', '--dataset_name=imagnet'], 2, ["'imagenet'"]),
    ([TRAIN, '--dataset_dir=DIGITS', '--dataset_split_name=test'], 2, ["'test'", 'validation']),
    (
        [TRAIN, '--dataset_dir=DIGITS', '--dtype=bf16', '--bf16_config_path=/none.json'],
        2,
        ['--bf16_config_path=/none.json cannot be read'],
    ),
    (
        [TRAIN, '--dataset_dir=DIGITS', '--device=cpu', '--dtype=fp16'],
        2,
        ['--dtype=fp16 is for a GPU, but this run computes on CPU: use --dtype=bf16'],
    ),
    (
        [EVALUATE, '--dataset_dir=DIGITS', '--device=cpu', '--dtype=fp16'],
        2,
        ['--dtype=fp16 is for a GPU'],
    ),
    (
        [TRAIN, '--dataset_dir=DIGITS', '--use_horovod', '--steps_per_run=2'],
        2,
        ['--steps_per_run with --use_horovod'],
    ),
    ([TRAIN, '--dataset_dir=DIGITS', '--device=hpu'], 5, ['no Gaudi card', 'habana-tensorflow']),
    ([TRAIN, '--dataset_dir=MISSING'], 3, ['MISSING', '--dataset_dir']),
    ([TRAIN, '--dataset_dir=EMPTY'], 3, ['EMPTY']),
    ([TRAIN, '--dataset_dir=DIGITS', '--train_dir=FILE/run'], 1, ['FILE', 'train_dir']),
    ([TRAIN, '--dataset_dir=DIGITS', '--checkpoint_path=MISSING'], 1, ['--checkpoint_path']),
    ([EVALUATE, '--dataset_dir=DIGITS', '--checkpoint_path=EMPTY'], 1, ['no checkpoint']),
    ([EVALUATE, '--dataset_dir=DIGITS', '--quantize'], 2, ['quantize', 'contrib']),
    ([EXPORT], 2, ['--output_file']),
    ([EXPORT, '--output_file=out.pb', '--model_name=mobilnet_v2'], 2, ["'mobilenet_v2'"]),
    ([EXPORT, '--output_file=out.pb', '--quantize'], 2, ['quantize', 'contrib']),
    ([EXPORT, '--output_file=EMPTY', *MOBILENET], 1, ['EMPTY', 'folder']),
    ([EXPORT, '--output_file=FILE/out.pb', *MOBILENET], 1, ['FILE', 'output_file']),
    ([EXPORT, '--output_file=out.pb', '--checkpoint_path=EMPTY', *MOBILENET], 1, ['no checkpoint']),
    ([DEMO, '--computation_type=trian'], 2, ["'train'"]),
    ([DEMO, '--dataset_dir=MISSING'], 3, ['MISSING']),
    ([DEMO, '--dataset_dir=DIGITS', '--num_workers=2'], 2, ['mpirun']),
    ([DEMO, '--dataset_dir=DIGITS', '--use_horovod'], 2, ['--num_workers=N']),
]


@pytest.mark.once
@pytest.mark.parametrize(('command', 'code', 'words'), WRONG, ids=lambda value: str(value)[:60])
def test_wrong_input_is_one_line_and_leaves_nothing(script, digits, tmp_path, command, code, words):
    (tmp_path / 'EMPTY').mkdir()
    (tmp_path / 'FILE').write_text('')
    before = sorted(os.listdir(tmp_path))
    name, *arguments = (word.replace('DIGITS', digits) for word in command)
    defaults = {'--train_dir': 'made', '--eval_dir': 'made'}
    for flag, value in defaults.items():
        if (name, flag) in ((TRAIN, '--eval_dir'), (EVALUATE, '--train_dir')) or name == EXPORT:
            continue
        if not any(argument.startswith(flag) for argument in arguments):
            arguments.append(f'{flag}={tmp_path / value}')
    failed = script(name, *arguments, code=code, fresh=command[-1] in FRESH)
    lines = [line for line in failed.stderr.splitlines() if 'error:' in line]
    assert len(lines) == 1, failed.stderr
    for word in words:
        assert word in lines[0]
    assert sorted(os.listdir(tmp_path)) == before


def test_a_checkpoint_of_other_classes_lists_variables_and_flag(script, digits, trained, tmp_path):
    common = [f'--dataset_dir={digits}', '--max_number_of_steps=1', '--train_image_size=32']
    failed = script(
        TRAIN,
        *common,
        *processes.SMALL,
        f'--train_dir={tmp_path / "nine"}',
        f'--checkpoint_path={trained}',
        '--labels_offset=1',
        code=1,
    )
    assert 'MobilenetV1/Logits/Conv2d_1c_1x1/weights' in failed.stderr
    assert '--checkpoint_exclude_scopes=MobilenetV1/Logits' in failed.stderr
    assert not (tmp_path / 'nine').exists()

    failed = script(
        TRAIN,
        *common,
        *processes.PLAIN,
        f'--train_dir={tmp_path / "off"}',
        '--labels_offset=1',
        code=3,
    )
    assert 'has label 0, but the classes of this set are 1 to 9' in failed.stderr


@pytest.mark.parametrize('name', [TRAIN, EVALUATE])
def test_a_damaged_record_is_named_with_its_file_and_number(
    script, digits, trained, tmp_path, name
):
    damaged = tmp_path / 'damaged'
    shutil.copytree(digits, damaged)
    run = [
        *processes.PLAIN,
        f'--train_dir={tmp_path / "run"}',
        '--train_image_size=32',
        '--max_number_of_steps=1',
    ]
    if name == EVALUATE:
        run = [
            *processes.SMALL,
            f'--checkpoint_path={trained}',
            f'--eval_dir={tmp_path / "eval"}',
            '--eval_image_size=32',
        ]
    split = 'train' if name == TRAIN else 'validation'
    for path in damaged.glob(f'{split}-*'):
        content = bytearray(path.read_bytes())
        content[20] ^= 0xFF  # inside the first record
        path.write_bytes(content)
    failed = script(name, f'--dataset_dir={damaged}', *run, code=3)
    first = min(damaged.glob(f'{split}-*'))
    assert f'error: {first}, record 0 (counted from 0): ' in failed.stderr


# Small, since what this is about is that each of the 1,437 images is read.
ALL_IN_9_STEPS = [
    *processes.PLAIN,
    '--batch_size=160',
    '--train_image_size=16',
    '--max_number_of_steps=9',
    '--log_every_n_steps=9',
]


def _rewrite(folder, split, change):
    """Rewrites the first file of a split, each record as `change(number, features)` wants it."""
    import tensorflow as tf

    path = str(min(folder.glob(f'{split}-*')))
    serialized = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    with tf.io.TFRecordWriter(path) as writer:
        for number, record in enumerate(serialized):
            example = tf.train.Example.FromString(record)
            change(number, example.features.feature)
            writer.write(example.SerializeToString())
    return path


def _as(image_format, mode='RGB'):
    def change(number, features):
        encoded = features['image/encoded'].bytes_list
        file = io.BytesIO()
        Image.open(io.BytesIO(encoded.value[0])).convert(mode).save(file, image_format)
        encoded.value[0] = file.getvalue()

    return change


def _cut(number, features):
    if number == 3:
        encoded = features['image/encoded'].bytes_list
        encoded.value[0] = encoded.value[0][:200]


def _no_key(number, features):
    if number == 3:
        del features['image/class/label']


def _no_image(number, features):
    if number == 3:
        features['image/encoded'].bytes_list.value[0] = b'not an image'


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize(
    ('change', 'preprocessing'),
    [
        pytest.param(_as('PNG'), 'digits', id='png-digits'),
        pytest.param(_as('PNG'), 'inception', id='png-inception', marks=pytest.mark.exhaustive),
        pytest.param(_as('JPEG', 'CMYK'), 'digits', id='cmyk-digits', marks=pytest.mark.exhaustive),
        pytest.param(_as('JPEG', 'CMYK'), 'inception', id='cmyk-inception'),
    ],
)
def test_other_formats_inside_a_record_are_images_too(
    script, digits, tmp_path, change, preprocessing
):
    mixed = tmp_path / 'mixed'
    shutil.copytree(digits, mixed)
    _rewrite(mixed, 'train', change)
    trained = script(
        TRAIN,
        f'--dataset_dir={mixed}',
        *ALL_IN_9_STEPS,
        f'--preprocessing_name={preprocessing}',
        f'--train_dir={tmp_path / "run"}',
    )
    assert 'global step 9: ' in trained.stdout
    assert 'skipped' not in trained.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        pytest.param(_cut, 'Invalid JPEG', id='cut jpeg', marks=pytest.mark.slow),
        pytest.param(_no_key, 'image/class/label', id='no label', marks=pytest.mark.slow),
        pytest.param(_no_image, 'Unknown image', id='no image', marks=pytest.mark.slow),
    ],
)
def test_a_bad_record_is_named_or_skipped_and_counted(script, digits, tmp_path, change, message):
    damaged = tmp_path / 'damaged'
    shutil.copytree(digits, damaged)
    path = _rewrite(damaged, 'train', change)
    run = [
        f'--dataset_dir={damaged}',
        *ALL_IN_9_STEPS,
        '--preprocessing_name=inception',
    ]
    failed = script(TRAIN, *run, f'--train_dir={tmp_path / "stop"}', code=3)
    assert f'error: {path}, record 3 (counted from 0): ' in failed.stderr
    assert message in failed.stderr
    skipped = script(TRAIN, *run, f'--train_dir={tmp_path / "skip"}', '--on_data_error=skip')
    last = skipped.stdout.split('global step 9: ')[1].splitlines()[0]
    assert '  skipped records 1  ' in last
