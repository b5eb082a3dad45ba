"""What a run can be told, as frozen dataclasses: every field is a flag, its default and its help.

Pure Python. `runtime/flags.py` turns the fields into command-line flags and the command line into
instances; everything behind it takes the instances. Names and defaults of the classic flags are
those of the classic suite's Gaudi fork; where its default contradicts its own help
(`preprocessing_name`, `max_num_batches`) the suite it came from decides.
"""

from runtime.options.data import (
    AugmentationOptions,
    DatasetOptions,
    EvaluationDatasetOptions,
    EvaluationInputOptions,
    InputOptions,
    TrainingInputOptions,
)
from runtime.options.detection import (
    DetectionEvaluation,
    DetectionExport,
    DetectionInputOptions,
    DetectionTraining,
    DetectorOptions,
)
from runtime.options.evaluation import Evaluation, EvaluationRunOptions
from runtime.options.export import Export
from runtime.options.fields import option, values, with_values
from runtime.options.inspection import INSPECTION_FORMATS, Inspection
from runtime.options.machine import (
    DEVICES,
    DTYPES,
    XLA_CHOICES,
    CloneOptions,
    ClusterOptions,
    DeviceOptions,
    LaunchOptions,
    WorkerOptions,
)
from runtime.options.network import AverageOptions, NetworkOptions, TrainingNetworkOptions
from runtime.options.plotting import Plotting
from runtime.options.prediction import (
    PREDICTION_FORMATS,
    Prediction,
    PredictionInputOptions,
    PredictionRunOptions,
)
from runtime.options.training import (
    LEARNING_RATE_DECAY_TYPES,
    OPTIMIZERS,
    FineTuningOptions,
    OptimizerOptions,
    ScheduleOptions,
    Training,
    TrainingRunOptions,
)
from runtime.options.validation import BEST_OF, METRICS, ValidationOptions
from runtime.options.watching import WatchingOptions

__all__ = [
    'BEST_OF',
    'DEVICES',
    'DTYPES',
    'INSPECTION_FORMATS',
    'LEARNING_RATE_DECAY_TYPES',
    'METRICS',
    'OPTIMIZERS',
    'PREDICTION_FORMATS',
    'XLA_CHOICES',
    'AugmentationOptions',
    'AverageOptions',
    'CloneOptions',
    'ClusterOptions',
    'DatasetOptions',
    'DetectionEvaluation',
    'DetectionExport',
    'DetectionInputOptions',
    'DetectionTraining',
    'DetectorOptions',
    'DeviceOptions',
    'Evaluation',
    'EvaluationDatasetOptions',
    'EvaluationInputOptions',
    'EvaluationRunOptions',
    'Export',
    'FineTuningOptions',
    'InputOptions',
    'Inspection',
    'LaunchOptions',
    'NetworkOptions',
    'OptimizerOptions',
    'Plotting',
    'Prediction',
    'PredictionInputOptions',
    'PredictionRunOptions',
    'ScheduleOptions',
    'Training',
    'TrainingInputOptions',
    'TrainingNetworkOptions',
    'TrainingRunOptions',
    'ValidationOptions',
    'WatchingOptions',
    'WorkerOptions',
    'option',
    'values',
    'with_values',
]
