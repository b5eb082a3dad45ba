#!/bin/sh
# Shows the runs below $MODEL_DIR (default: ./tmp): sh start_tensorboard.sh [flags of TensorBoard]
set -eu
exec "${PYTHON:-python3}" -m tensorboard.main --logdir="${MODEL_DIR:-./tmp}" "$@"
