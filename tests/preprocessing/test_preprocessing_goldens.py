"""The evaluation forms against numbers that the classic suite computed (TF 2.15.0, float32).

goldens.npz: inputs imgN and grayN, results NAME/HEIGHTxWIDTH/INPUT; of results above 32 pixels
every seventh pixel of every seventh row.
"""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

_GOLDENS = np.load(pathlib.Path(__file__).parents[1] / 'data' / 'preprocessing' / 'goldens.npz')
_CASES = [key for key in _GOLDENS.files if '/' in key]
_STRIDE = 7
_TOLERANCE = {'vgg_16': 1e-3}  # its values reach 151, the others' about 2


@pytest.mark.parametrize('case', _CASES)
def test_evaluation_form_is_the_classic_one(case, preprocess):
    name, size, image = case.split('/')
    height, width = map(int, size.split('x'))
    shape, result = preprocess(name, _GOLDENS[image], height, width)

    assert shape == [height, width, _GOLDENS[image].shape[-1]]
    assert result.dtype == np.float32
    stride = _STRIDE if height > 32 else 1
    np.testing.assert_allclose(
        result[::stride, ::stride], _GOLDENS[case], rtol=0, atol=_TOLERANCE.get(name, 1e-5)
    )


def test_there_are_cases_of_every_family():
    assert {case.split('/')[0] for case in _CASES} == {
        'inception_v2',
        'vgg_16',
        'cifarnet',
        'lenet',
    }
