"""The digits for the tests of the trainer, and the tiny network in place of a MobileNet."""

import pytest
import tiny


@pytest.fixture(scope='session')
def digits(make_once):
    """Folder of the built-in sample's records."""
    from datasets.conversion import digits

    return digits.ensure_sample(str(make_once('cache', lambda folder: None)))


@pytest.fixture(scope='session')
def train_in(digits):
    """train_in(folder, **settings): a run of the tiny network in this process; its history."""
    from datasets.conversion.digits import CACHE_VARIABLE
    from mobilenet import mobilenet_trainer

    def train_in(folder, **settings):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CACHE_VARIABLE, digits.rpartition('/')[0])
            tiny.use(patch)
            return mobilenet_trainer.train_and_eval(tiny.params(folder, **settings))

    return train_in


@pytest.fixture
def train(train_in, tmp_path):
    """The same in a folder 'run', or another one, of the test's own."""
    return lambda folder='run', **settings: train_in(tmp_path / folder, **settings)
