"""The compiled image operation through the scripts: said, switched off, and the same weights."""

import subprocess
import sys
import sysconfig

import numpy as np
import processes
import tensorflow as tf

IMAGES = ['--preprocessing_name=inception', '--model_name=mobilenet_v2_035', '--batch_size=16']


def test_with_and_without_it_training_and_evaluation_are_the_same(script, digits, tmp_path):
    weights, results = [], []
    for flag, note in [
        ('--custom_image_op', 'images by the compiled operation'),
        ('--nocustom_image_op', ''),
    ]:
        folder = tmp_path / flag.strip('-')
        shown = script(
            'train_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--train_dir={folder}',
            '--max_number_of_steps=3',
            '--train_image_size=32',
            flag,
            *IMAGES,
        ).stdout
        assert ('images by' in shown) == bool(note)
        assert note in shown
        reader = tf.train.load_checkpoint(str(folder))
        weights.append(
            {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        )
        shown = script(
            'eval_image_classifier.py',
            f'--dataset_dir={digits}',
            f'--checkpoint_path={folder}',
            f'--eval_dir={folder / "eval"}',
            '--eval_image_size=32',
            flag,
            *IMAGES,
        ).stdout
        assert ('images by' in shown) == bool(note)
        results.append([line for line in shown.splitlines() if 'Accuracy' in line])
    assert weights[0].keys() == weights[1].keys()
    for name, values in weights[0].items():
        # Images differ by a ten-millionth; three steps and a batch norm over 16 images amplify it.
        np.testing.assert_allclose(values, weights[1][name], rtol=0, atol=1e-4, err_msg=name)
    assert results[0] == results[1]


def test_where_it_is_not_built_training_says_how(digits, cache, tmp_path):
    """In another environment, which has the packages of this one and no operation."""
    environment = tmp_path / 'env'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(environment)], check=True)
    [site] = environment.glob('lib/python*/site-packages')
    (site / 'packages.pth').write_text(sysconfig.get_path('purelib') + '\n')
    done = subprocess.run(
        [
            str(environment / 'bin' / 'python'),
            str(processes.ROOT / 'train_image_classifier.py'),
            f'--dataset_dir={digits}',
            f'--train_dir={tmp_path / "run"}',
            '--max_number_of_steps=1',
            '--train_image_size=32',
            *IMAGES,
        ],
        cwd=tmp_path,
        env=processes.user_environment(cache),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (
        "images by TensorFlow's operations; python3 -m preprocessing.image_op builds" in done.stdout
    )
