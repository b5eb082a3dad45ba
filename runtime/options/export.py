"""The flags of export_inference_graph.py."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import CONTRIB_QUANTIZE, option

EXPORT_OUTPUTS = ('logits', 'probabilities', 'features')
TENSOR_TYPES = ('float32', 'uint8')


@dataclasses.dataclass(frozen=True)
class Export:
    """Every flag of export_inference_graph.py."""

    model_name: str = option('inception_v3', 'name of the network in nets_factory')
    output_file: str = option(
        '',
        'file to write; where there are several formats or quantizations, each gets an ending of '
        'its own: m.pb, m_saved_model, m.tflite, m_int8.tflite, m.onnx',
        path='written',
    )
    format: str | None = option(
        None,
        'forms to write, comma-separated: graphdef, saved_model, tflite, onnx; each is loaded back '
        'in a fresh process and compared with the checkpoint; default: the GraphDef alone, as the '
        'classic suite writes it',
        listed=True,
    )
    quantization: str = option(
        'none',
        'of TFLite, comma-separated: none, float16 (weights), dynamic (8-bit weights), int8 '
        '(8 bits throughout, needs --calibration_dir)',
        listed=True,
    )
    output: str = option(
        'logits',
        'what comes out: logits, their softmax, or the pooled features before the classifier',
        choices=EXPORT_OUTPUTS,
    )
    include_preprocessing: bool = option(
        False,
        'GraphDef: the input is image files; TFLite and ONNX: it is pixels of 0..255, cropped and '
        'resized; a SavedModel always has a signature of image files',
    )
    preprocessing_name: str | None = option(
        None, "name of the preprocessing; default: the network's own"
    )
    inference_input_type: str = option(
        'float32',
        'of TFLite: uint8 for --quantization=int8, or for pixels with --include_preprocessing',
        choices=TENSOR_TYPES,
    )
    inference_output_type: str = option(
        'float32', 'of TFLite: uint8 for --quantization=int8', choices=TENSOR_TYPES
    )
    opset: int = option(17, 'of ONNX', at_least=11, at_most=18)
    calibration_dir: str | None = option(
        None,
        'folder of records or of pictures: those that int8 measures its ranges on, and the '
        'comparison its differences; default: pictures made by a seed, which int8 refuses',
        path='read',
    )
    calibration_split: str = option('train', 'split of the records to calibrate on')
    calibration_images: int = option(200, 'images to calibrate on', at_least=16)
    check_images: int = option(
        32, 'images that each file is compared with the checkpoint on', at_least=1
    )
    tolerance: float | None = option(
        None,
        'largest difference to the checkpoint, as a share of its largest output; default: 1e-4 for '
        'float forms; docs/export.md lists the others',
        above=0,
    )
    top_k: int = option(5, 'classes that a SavedModel names for each image file', at_least=1)
    is_training: bool = option(False, 'export the training form of the graph')
    image_size: int | None = option(
        None, "side of the square input in pixels; default: the network's own", at_least=1
    )
    batch_size: int | None = option(None, 'images per batch; default: any number', at_least=1)
    dataset_name: str = option('imagenet', 'data set whose number of classes the network gets')
    dataset_dir: str = option(
        '', 'folder whose dataset.json, if any, gives the number of classes', path='read'
    )
    labels_offset: int = option(0, 'subtracted from the number of classes', at_least=0)
    use_grayscale: bool = option(False, 'input of one channel instead of three')
    is_video_model: bool = option(False, 'input with frames: [batch, frames, height, width, 3]')
    num_frames: int | None = option(None, 'frames of a video; default: any number', at_least=1)
    write_text_graphdef: bool = option(False, 'write the GraphDef as text')
    checkpoint_path: str | None = option(
        None,
        'checkpoint, or folder of one, whose weights become constants of the graph',
        path='read',
    )
    moving_average_decay: float | None = option(
        0.9999,
        'not 0: the weights are the moving averages in the checkpoint',
        at_least=0,
        at_most=1,
    )
    ignore_sidecar: bool = option(
        False,
        "leave the checkpoint's PREFIX.json unread, and with it the defaults that it gives to "
        '--model_name, --preprocessing_name, --use_grayscale, --labels_offset, --image_size and '
        '--moving_average_decay',
    )
    quantize: bool = option(False, 'fake quantisation', refused=CONTRIB_QUANTIZE)
