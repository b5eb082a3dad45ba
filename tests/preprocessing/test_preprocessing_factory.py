from __future__ import annotations

import inspect

import pytest

from preprocessing import (
    cifarnet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    preprocessing_factory,
    vgg_preprocessing,
)
from slim.errors import UsageError

# Every network of the classic factory, and the forms of its library that have rows here.
_NETWORKS = (
    'alexnet_v2',
    'cifarnet',
    'i3d',
    'inception_resnet_v2',
    'inception_v1',
    'inception_v2',
    'inception_v3',
    'inception_v4',
    'lenet',
    'mobilenet_edgetpu',
    'mobilenet_edgetpu_075',
    'mobilenet_v1',
    'mobilenet_v1_025',
    'mobilenet_v1_050',
    'mobilenet_v1_075',
    'mobilenet_v2',
    'mobilenet_v2_035',
    'mobilenet_v2_050',
    'mobilenet_v2_140',
    'mobilenet_v3_large',
    'mobilenet_v3_large_minimalistic',
    'mobilenet_v3_small',
    'mobilenet_v3_small_minimalistic',
    'nasnet_cifar',
    'nasnet_large',
    'nasnet_mobile',
    'overfeat',
    'pnasnet_large',
    'pnasnet_mobile',
    'resnet_v1_101',
    'resnet_v1_152',
    'resnet_v1_200',
    'resnet_v1_50',
    'resnet_v2_101',
    'resnet_v2_152',
    'resnet_v2_200',
    'resnet_v2_50',
    's3dg',
    'vgg_16',
    'vgg_19',
    'vgg_a',
)

# The classic signatures; a `seed` behind them is the suite's own.
_SIGNATURES = {
    inception_preprocessing.apply_with_random_selector: '(x, func, num_cases)',
    inception_preprocessing.distort_color: '(image, color_ordering=0, fast_mode=True, scope=None)',
    inception_preprocessing.distorted_bounding_box_crop: (
        '(image, bbox, min_object_covered=0.1, aspect_ratio_range=(0.75, 1.33), '
        'area_range=(0.05, 1.0), max_attempts=100, scope=None)'
    ),
    inception_preprocessing.preprocess_for_train: (
        '(image, height, width, bbox, fast_mode=True, scope=None, add_image_summaries=True, '
        'random_crop=True, use_grayscale=False)'
    ),
    inception_preprocessing.preprocess_for_eval: (
        '(image, height, width, central_fraction=0.875, scope=None, central_crop=True, '
        'use_grayscale=False)'
    ),
    inception_preprocessing.preprocess_image: (
        '(image, height, width, is_training=False, bbox=None, fast_mode=True, '
        'add_image_summaries=True, crop_image=True, use_grayscale=False)'
    ),
    vgg_preprocessing.preprocess_for_train: (
        '(image, output_height, output_width, resize_side_min=256, resize_side_max=512, '
        'use_grayscale=False)'
    ),
    vgg_preprocessing.preprocess_for_eval: (
        '(image, output_height, output_width, resize_side, use_grayscale=False)'
    ),
    vgg_preprocessing.preprocess_image: (
        '(image, output_height, output_width, is_training=False, resize_side_min=256, '
        'resize_side_max=512, use_grayscale=False)'
    ),
    cifarnet_preprocessing.preprocess_for_train: (
        '(image, output_height, output_width, padding=4, add_image_summaries=True, '
        'use_grayscale=False)'
    ),
    cifarnet_preprocessing.preprocess_for_eval: (
        '(image, output_height, output_width, add_image_summaries=True, use_grayscale=False)'
    ),
    cifarnet_preprocessing.preprocess_image: (
        '(image, output_height, output_width, is_training=False, add_image_summaries=True, '
        'use_grayscale=False)'
    ),
    lenet_preprocessing.preprocess_image: (
        '(image, output_height, output_width, is_training, use_grayscale=False)'
    ),
    preprocessing_factory.get_preprocessing: '(name, is_training=False, use_grayscale=False)',
}


@pytest.mark.parametrize('name', _NETWORKS)
def test_every_network_has_a_preprocessing(name):
    assert callable(preprocessing_factory.get_preprocessing(name))


@pytest.mark.parametrize('function', _SIGNATURES, ids=lambda f: f'{f.__module__}.{f.__name__}')
def test_classic_signatures(function):
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != 'seed'
    ]
    assert str(inspect.Signature(parameters)) == _SIGNATURES[function]


@pytest.mark.parametrize(
    'module', sorted({*preprocessing_factory.preprocessing_fn_map.values()}, key=str)
)
def test_every_preprocessing_takes_a_seed_last(module):
    assert list(inspect.signature(module.preprocess_image).parameters)[-1] == 'seed'


def test_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"'inceptionv2'.*'inception_v2'"):
        preprocessing_factory.get_preprocessing('inceptionv2')


def test_unknown_argument_is_not_swallowed(preprocess, photo):
    with pytest.raises(TypeError, match='bbox'):
        preprocess('vgg_16', photo, 32, 32, bbox=None)
