#!/bin/sh
# Trains MobileNet V3 large. How it is called, and what it reads: train_common.sh.
set -eu
script=train_mbnv3.sh
model=mobilenet_v3_large
train_batch=192
test_batch=4
. "$(dirname "$0")/train_common.sh"
check_mode "$@"
shift
train \
  --lr=0.02 --lr_decay_rate=0.99 --lr_decay_epochs=3.0 --ma_decay_rate=0.9999 \
  --std_weight_decay=1e-5 --truncated_normal_stddev=0.008 --batch_norm_decay=0.997 \
  "$@"
