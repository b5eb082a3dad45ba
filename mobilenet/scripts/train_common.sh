# Read by train_mbnv1.sh and its sisters, which set script, model, train_batch, test_batch and call
# `train` with the flags of their network and then their own arguments.
#
#   DATA_DIR=/data/imagenet MODEL_DIR=/data/run sh SCRIPT train [FLAGS]
#   sh SCRIPT test [FLAGS]
#
# train: ImageNet's records in $DATA_DIR, into $MODEL_DIR (default: ./tmp/NETWORK).
# test:  small batches in local folders: the records in $DATA_DIR or, without it, one epoch of the
#        built-in digits.
# Flags behind the word win. $PYTHON names another Python than python3.

check_mode() {
  case ${1-} in
    train)
      batch_size=$train_batch
      if [ -z "${DATA_DIR-}" ]; then
        echo "$script: give the folder of ImageNet's records: DATA_DIR=/data/imagenet sh $script train" >&2
        exit 2
      fi ;;
    test)
      batch_size=$test_batch ;;
    *)
      echo "usage: sh $script train|test [flags of mobilenet_trainer]" >&2
      exit 2 ;;
  esac
}

train() {
  root=$(cd "$(dirname "$0")/../.." && pwd)
  PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
  export PYTHONPATH
  if [ -n "${DATA_DIR-}" ]; then
    set -- --dataset_name=imagenet2012 --data_dir="$DATA_DIR" --epochs=30 "$@"
  else
    set -- --dataset_name=digits --epochs=1 --width_multiplier=0.25 "$@"
  fi
  exec "${PYTHON:-python3}" -m mobilenet.mobilenet_trainer \
    --model_name="$model" \
    --model_dir="${MODEL_DIR:-./tmp/$model}" \
    --batch_size="$batch_size" \
    --optimizer_name=rmsprop --op_momentum=0.9 --op_decay_rate=0.9 \
    --learning_scheduler_name=exponential \
    --label_smoothing=0.1 --dropout_rate=0.2 \
    "$@"
}
