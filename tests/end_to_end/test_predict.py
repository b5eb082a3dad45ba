"""predict_image.py as a user runs it: a checkpoint and an exported file on the digits' pictures."""

import csv
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

PREDICT, EXPORT = 'predict_image.py', 'export_inference_graph.py'
BATCH = 16


@pytest.fixture(scope='module')
def pictures(digits, tmp_path_factory):
    """A folder of 36 pictures, in folders of four classes."""
    folder = tmp_path_factory.mktemp('pictures')
    for label in '0379':
        source = pathlib.Path(digits, 'images', 'validation', label)
        (folder / label).mkdir()
        for path in sorted(source.iterdir())[:9]:
            shutil.copy(path, folder / label)
    return folder


@pytest.fixture(scope='module')
def predicted(run_script, trained, pictures, tmp_path_factory):
    """What the checkpoint says of them: picture to logits."""
    path = tmp_path_factory.mktemp('predicted') / 'out.jsonl'
    arguments = [f'--images={pictures}', f'--checkpoint_path={trained}', f'--batch_size={BATCH}']
    arguments += ['--top_k=10', '--format=jsonl', f'--output_file={path}']
    out = run_script(PREDICT, *arguments, cwd=pictures, fresh=True)
    assert '36/36 pictures' in out.stdout and 'its moving averages' in out.stderr
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line['picture']: logits_of(line['predictions']) for line in lines}


def logits_of(guesses):
    """By label; each class is named by its digit."""
    assert [guess['class'] for guess in guesses] == [str(guess['label']) for guess in guesses]
    return np.float32([g['logit'] for g in sorted(guesses, key=lambda guess: guess['label'])])


@pytest.mark.once
@pytest.mark.slow
def test_the_numbers_are_those_of_an_evaluation_to_the_bit(
    script, trained, pictures, predicted, tmp_path
):
    from datasets.records import description, example_format, framing

    paths = sorted(pictures.rglob('*.jpg'))
    with open(tmp_path / 'validation-00000-of-00001', 'wb') as records:
        for path in paths:
            record = example_format.encode_example(path.read_bytes(), int(path.parent.name), 32, 32)
            framing.write_record(records, record)
    split = description.Split(len(paths), 1)
    about = description.Description('digits', 10, False, {'validation': split})
    description.write_description(str(tmp_path), about)
    out = tmp_path / 'out.npy'
    arguments = [tmp_path, trained, BATCH, len(paths), out]
    script('tests/end_to_end/evaluation_logits.py', *map(str, arguments))
    assert list(predicted) == [str(path) for path in paths]
    np.testing.assert_array_equal(np.stack(list(predicted.values())), np.load(out))


def test_an_exported_file_says_the_same(script, trained, pictures, predicted, tmp_path):
    network, out = tmp_path / 'net.pb', tmp_path / 'out.csv'
    script(EXPORT, f'--checkpoint_path={trained}', f'--output_file={network}')
    arguments = [f'--images={pictures}/3/*.jpg', f'--exported_file={network}', '--format=csv']
    failed = script(PREDICT, *arguments, code=2)
    assert 'does not say which preprocessing it takes: give --preprocessing_name' in failed.stderr
    names = tmp_path / 'names.txt'
    names.write_text('\n'.join(f'the {label}' for label in range(10)))
    arguments += ['--preprocessing_name=digits', f'--labels_file={names}', '--top_k=1']
    script(PREDICT, *arguments, f'--output_file={out}')
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 9
    for row in rows:
        logits = predicted[row['picture']]
        assert int(row['label']) == logits.argmax()
        assert row['class'] == f'the {row["label"]}'
        assert float(row['logit']) == pytest.approx(logits.max(), rel=1e-4)


@pytest.mark.once
def test_what_is_no_picture_is_named_and_ends_the_run_or_is_left_out(
    script, trained, pictures, tmp_path
):
    folder = tmp_path / 'mixed'
    shutil.copytree(pictures / '7', folder)
    whole = min(folder.iterdir())
    (folder / 'torn.jpg').write_bytes(whole.read_bytes()[:200])
    (folder / 'text.png').write_text('no picture')
    Image.open(whole).save(folder / 'other.bmp')
    out = tmp_path / 'out.csv'
    arguments = [f'--images={folder}', f'--checkpoint_path={trained}', f'--output_file={out}']
    failed = script(PREDICT, *arguments, code=3)
    (line,) = [line for line in failed.stderr.splitlines() if ': error: ' in line]
    assert f'{folder}/other.bmp: it is a BMP file' in line
    assert not out.exists() and sorted(os.listdir(tmp_path)) == ['mixed']
    done = script(PREDICT, *arguments, '--on_data_error=skip', '--format=csv', '--top_k=1')
    left = [line for line in done.stdout.splitlines() if line.startswith('left out: ')]
    assert [line.split(': ')[1] for line in left] == [
        f'{folder}/{name}' for name in ('other.bmp', 'text.png', 'torn.jpg')
    ]
    assert len(out.read_text().splitlines()) == 1 + 9


@pytest.mark.once
@pytest.mark.parametrize(
    ('arguments', 'code', 'words'),
    [
        (['--checkpoint_path=RUN'], 2, '--images is missing'),
        (['--images=PICTURES'], 2, 'either --checkpoint_path or --exported_file'),
        (['--images=PICTURES', '--checkpoint_path=RUN', '--exported_file=x'], 2, 'either'),
        (['--images=none.jpg', '--checkpoint_path=RUN'], 3, '--images=none.jpg: no such file'),
        (['--images=PICTURES', '--checkpoint_path=none'], 1, '--checkpoint_path=none: no such'),
        (['--images=PICTURES', '--exported_file=names.txt'], 1, 'names.txt is no exported network'),
        (
            ['--images=PICTURES', '--checkpoint_path=RUN', '--labels_file=names.txt'],
            3,
            'names.txt names 1 labels, but the network has 10 classes',
        ),
        (
            ['--images=PICTURES', '--checkpoint_path=RUN', '--dataset_name=imagenet'],
            1,
            'has other shapes: MobilenetV1/Logits',
        ),
        (
            ['--images=PICTURES', '--checkpoint_path=RUN', '--model_name=lenet'],
            2,
            '--model_name=lenet, but the checkpoint was trained with mobilenet_v1_025',
        ),
        (
            ['--images=PICTURES', '--checkpoint_path=RUN', '--output_file=names.txt/out'],
            1,
            'names.txt is not a folder',
        ),
    ],
)
def test_wrong_input_is_one_line(script, trained, pictures, tmp_path, arguments, code, words):
    (tmp_path / 'names.txt').write_text('a name alone, which begins no network')
    given = [
        word.replace('RUN', str(trained)).replace('PICTURES', str(pictures)) for word in arguments
    ]
    failed = script(PREDICT, *given, code=code)
    (line,) = [line for line in failed.stderr.splitlines() if ': error: ' in line]
    assert words in line and failed.stdout == ''
    assert os.listdir(tmp_path) == ['names.txt']
