"""The digits for the tests of the trainer, and the tiny network in place of a MobileNet."""

import pytest
import tiny


@pytest.fixture(scope='session')
def digits(make_once):
    """Folder of the built-in sample's records."""
    from datasets.conversion import digits

    return digits.ensure_sample(str(make_once('cache', lambda folder: None)))


@pytest.fixture
def train(digits, monkeypatch, tmp_path):
    """train(folder='run', **settings): a run of the tiny network in this process; its history."""
    from datasets.conversion.digits import CACHE_VARIABLE
    from mobilenet import mobilenet_trainer

    monkeypatch.setenv(CACHE_VARIABLE, digits.rpartition('/')[0])
    tiny.use(monkeypatch)

    def train(folder='run', **settings):
        return mobilenet_trainer.train_and_eval(tiny.params(tmp_path / folder, **settings))

    return train
