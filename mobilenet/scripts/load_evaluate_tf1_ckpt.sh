#!/bin/sh
# Evaluates a slim network's checkpoint on the validation split through its Keras model.
#
#   DATA_DIR=/data/imagenet CHECKPOINT=/data/mobilenet_v1_1.0_224.ckpt \
#     sh load_evaluate_tf1_ckpt.sh [flags of mobilenet.tf1_loader.evaluator]
#
# Flags win over what is set here. $PYTHON names another Python than python3.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH
set -- --model_name=mobilenet_v1 --dataset_name=imagenet2012 \
  ${DATA_DIR:+"--data_dir=$DATA_DIR"} ${CHECKPOINT:+"--checkpoint_path=$CHECKPOINT"} "$@"
exec "${PYTHON:-python3}" -m mobilenet.tf1_loader.evaluator "$@"
