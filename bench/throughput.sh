#!/bin/sh
# Jobs per hour, and how long the device waits for the host: bench/throughput.sh BUILD, on the machine that has the GPU.
# Twenty made-up proteins of 200 to 600 tokens, their MSA the query alone, one seed and five samples each, are folded by
# one process with seeded weights of full size; then one job of 128 and one of 256 tokens, from process start to files.
# Knobs: DEVICE (cuda), JOBS (20), SEEDS (1: as many seeds a job), OVERLAP (auto; never for comparison), WEIGHTS (a file
# or directory of weights; none: made here), STEPS (200), RECYCLES (10), TMPDIR.
build=${1:-build}
nativefold=$build/nativefold
device=${DEVICE:-cuda} jobs=${JOBS:-20} seeds=${SEEDS:-1} overlap=${OVERLAP:-auto} steps=${STEPS:-200} recycles=${RECYCLES:-10}
root=$(dirname "$0")/..
dir=$(mktemp -d "${TMPDIR:-/tmp}/nativefold_throughput_XXXXXX") || exit 1
sampler=
trap '[ -z "$sampler" ] || kill "$sampler" 2>/dev/null; rm -rf "$dir"' EXIT
now() { date +%s.%N; }
job() {  # job FILE NAME TOKENS: the same sequence whenever it is asked for
  awk -v name="$2" -v n="$3" -v seeds="$seeds" 'BEGIN {
    letters = "ARNDCQEGHILKMFPSTWYV"
    state = n
    for (i = 0; i < n; i++) {
      state = (state * 69069 + 1) % 4294967296
      sequence = sequence substr(letters, int(state / 65536) % 20 + 1, 1)
    }
    for (i = 1; i <= seeds; i++) list = list (i > 1 ? ", " : "") i
    printf "{\"name\": \"%s\", \"modelSeeds\": [%s], \"dialect\": \"alphafold3\", \"version\": 1, \"sequences\": [{\"protein\": ", name, list
    printf "{\"id\": \"A\", \"sequence\": \"%s\", \"unpairedMsa\": \">query\\n%s\\n\", \"pairedMsa\": \"\", \"templates\": []}}]}\n", sequence, sequence
  }' >"$1"
}
weights=$WEIGHTS
if [ -z "$weights" ]; then
  weights=$dir/seeded.nfw
  "$nativefold" weights random --manifest "$root/data/manifest_full.tsv" --output "$weights" || exit 1
fi
fold() {  # fold OUTPUT FLAG...: seconds from process start to files, in $seconds
  output=$1
  shift
  start=$(now)
  if ! "$nativefold" predict --norun_data_pipeline --model_dir="$weights" --device="$device" --overlap="$overlap" \
    --num_recycles="$recycles" --diffusion_steps="$steps" --output_dir="$dir/$output" --report="$dir/$output.report" \
    "$@" 2>"$dir/$output.log"; then
    tail -n 5 "$dir/$output.log"
    exit 1
  fi
  seconds=$(awk -v a="$start" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }')
}
tell() {  # tell OUTPUT: what the reports sum up to
  tr ',{}' '\n' <"$dir/$1.report" | awk -F: '
    /"network_seconds"/ { network += $2 }
    /"idle_seconds"/ { idle += $2 }
    END { printf "  network %.2f s, waiting for the host %.2f s: %.1f %% by the program'"'"'s reports\n", network, idle, 100 * idle / (network + idle + 1e-9) }'
  printf '  model opened in %s\n' "$(sed -n 's/^model .* opened in //p' "$dir/$1.log")"
}

mkdir "$dir/jobs"
i=0
while [ $i -lt "$jobs" ]; do  # lengths in no order, so that memory must grow and shrink
  tokens=$((200 + i * 7 % jobs * 400 / (jobs > 1 ? jobs - 1 : 1)))
  job "$dir/jobs/$(printf 'job%03d' $i).json" "$(printf 'job%03d' $i)" $tokens
  i=$((i + 1))
done
if [ "$device" != cpu ] && command -v nvidia-smi >/dev/null; then
  nvidia-smi -i "${CUDA_VISIBLE_DEVICES:-0}" --query-gpu=utilization.gpu --format=csv,noheader,nounits -lms 100 >"$dir/used" 2>/dev/null &
  sampler=$!
fi
fold all --input_dir="$dir/jobs"
if [ -n "$sampler" ]; then kill "$sampler" 2>/dev/null; wait "$sampler" 2>/dev/null; sampler=; fi
awk -v n="$jobs" -v s="$seconds" -v seeds="$seeds" -v o="$overlap" 'BEGIN {
  printf "%d jobs of 200 to 600 tokens, %d seed(s), overlap %s: %.1f s in all, %.0f jobs per hour\n", n, seeds, o, s, n * 3600 / s }'
tell all
# The driver's own counting of the time in which a kernel ran, from the first kernel to the last.
[ -s "$dir/used" ] && awk '
  /^[0-9]+/ { used[++n] = $1; if ($1 > 0) { if (!first) first = n; last = n } }
  END {
    for (i = first; i <= last && first; i++) sum += used[i]
    if (first) printf "  GPU idle %.1f %% of the time by nvidia-smi (%d samples)\n", 100 - sum / (last - first + 1), last - first + 1
  }' "$dir/used"
for tokens in 128 256; do
  job "$dir/small.json" "small$tokens" $tokens
  fold "small$tokens" --json_path="$dir/small.json"
  echo "$tokens tokens, process start to files: $seconds s"
  tell "small$tokens"
done
