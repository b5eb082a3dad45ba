#!/bin/sh
# Trains MobileNet V1. How it is called, and what it reads: train_common.sh.
set -eu
script=train_mbnv1.sh
model=mobilenet_v1
train_batch=64
test_batch=8
. "$(dirname "$0")/train_common.sh"
check_mode "$@"
shift
train \
  --lr=0.045 --lr_decay_rate=0.94 --lr_decay_epochs=2.5 \
  --std_weight_decay=2e-5 --truncated_normal_stddev=0.09 --batch_norm_decay=0.9997 \
  "$@"
