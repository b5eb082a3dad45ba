#!/bin/sh
# Splits KITTI, writes its records, trains the detector and evaluates it. Each step goes on where it was.
#   scripts/train_mobilenetdet_on_kitti.sh KITTI_ROOT WORK_FOLDER [FLAGS OF THE TRAINING]
# NETWORK_FLAGS, such as '--model_name=mobilenet_v2', go to the training and to the evaluation.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 KITTI_ROOT WORK_FOLDER [FLAGS OF THE TRAINING]" >&2; exit 2; }
root=$1 work=$2
shift 2
here=$(dirname "$0")/..
python=${PYTHON:-python3}
# Lists that are there are kept, in each place where the tools look.
[ -e "$root/ImageSets/train.txt" ] || [ -e "$root/KITTI/ImageSets/train.txt" ] ||
    [ -e "$root/data/KITTI/ImageSets/train.txt" ] ||
    "$python" "$here/tools/kitti_random_split_train_val.py" --kitti_root="$root"
"$python" "$here/tools/tf_convert_data.py" --dataset_name=kitti --dataset_root="$root" \
    --split=train,val --output_dir="$work/records"
"$python" "$here/train_object_detector.py" --dataset_name=kitti --dataset_dir="$work/records" \
    --dataset_split_name=train --train_dir="$work/train" ${NETWORK_FLAGS:-} "$@"
"$python" "$here/eval_object_detector.py" --dataset_name=kitti --dataset_dir="$work/records" \
    --checkpoint_path="$work/train" --eval_dir="$work/eval" ${NETWORK_FLAGS:-}
