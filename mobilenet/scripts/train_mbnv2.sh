#!/bin/sh
# Trains MobileNet V2. How it is called, and what it reads: train_common.sh.
set -eu
script=train_mbnv2.sh
model=mobilenet_v2
train_batch=96
test_batch=4
. "$(dirname "$0")/train_common.sh"
check_mode "$@"
shift
train \
  --lr=0.045 --lr_decay_rate=0.98 --lr_decay_epochs=1.0 \
  --std_weight_decay=2e-5 --truncated_normal_stddev=0.09 --batch_norm_decay=0.9997 \
  "$@"
