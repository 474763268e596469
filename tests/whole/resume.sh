#!/bin/sh
# --resume: a job that is killed again and again ends with the files of one that was left alone. BUILD: where the
# program is; DEVICE: what to fold on (cpu). Ends with the count that run.sh adds up.
build=${BUILD:-build} device=${DEVICE:-cpu}
nativefold=$build/nativefold
dir=$(mktemp -d /tmp/nativefold_resume_XXXXXX)
trap 'rm -rf "$dir"' EXIT
. tests/whole/check.sh
finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ $failed -eq 0 ]
  exit
}
need_conformers
# One thread: with two on busy processors, each waits for the other. That their number changes nothing is checked once.
OMP_NUM_THREADS=1
export OMP_NUM_THREADS
# One job of two seeds, and what is folded from it, whatever the directory.
with_seeds() { tr -d '\n' <data/demo/demo_5i55.json | sed "s/\"modelSeeds\": *\[[^]]*\]/\"modelSeeds\": [$1]/" >"$dir/job.json"; }
with_seeds "1, 7"
fold() {  # fold DIR FLAGS...
  to=$1
  shift
  "$nativefold" predict --json_path="$dir/job.json" --model_dir=data/demo --output_dir="$dir/$to" --device=$device \
    --num_recycles=2 --diffusion_steps=40 --num_diffusion_samples=2 --save_embeddings "$@" 2>"$dir/log"
}
# The time of writing is in the mmCIF.
same() { diff -r --exclude=.nativefold -I model_group_name "$dir/whole/demo_5i55" "$dir/$1/demo_5i55"; }

fold whole
check "a run without --resume leaves no records" test ! -e "$dir/whole/demo_5i55/.nativefold"
fold plain --resume
check "a run with --resume gives the same files" same plain
check "and removes its checkpoints" sh -c "test \"\$(ls '$dir/plain/demo_5i55/.nativefold' | tr '\n' ' ')\" = 'lock run search '"
fold plain --resume
check "a complete job is left alone" grep -q "is complete already" "$dir/log"

# Killed at 20 moments, spread over a run: 20 numbers between 0.02 and 1 s, always the same.
seed=7 kills=0 ended=0
while [ $kills -lt 20 ]; do
  seed=$(((seed * 1103515245 + 12345) % 2147483648))
  timeout -s KILL "0.$(printf '%02d' $((seed / 65536 % 98 + 2)))" "$nativefold" predict --json_path="$dir/job.json" \
    --model_dir=data/demo --output_dir="$dir/killed" --device=$device --num_recycles=2 --diffusion_steps=40 \
    --num_diffusion_samples=2 --save_embeddings --resume >"$dir/log" 2>&1
  status=$?
  kills=$((kills + 1))
  if [ $status -eq 0 ]; then ended=$((ended + 1)); rm -rf "$dir/killed"; fi  # it got through: begin again
done
fold killed --resume
check "a job killed 20 times ($ended runs got through) gives the same files" same killed
check "nothing half-written is left" sh -c "! find '$dir/killed' -name '*.tmp*' | grep ."
OMP_NUM_THREADS=2 fold single --resume
check "two threads give the same files" same single

# Stopped by a signal, once the log says that a stage is over.
stopped() {  # stopped DIR WORD SIGNAL
  : >"$dir/log"
  "$nativefold" predict --json_path="$dir/job.json" --model_dir=data/demo --output_dir="$dir/$1" --device=$device \
    --num_recycles=2 --diffusion_steps=40 --num_diffusion_samples=2 --save_embeddings --resume 2>"$dir/log" &
  pid=$!
  while kill -0 $pid 2>/dev/null && ! grep -q "$2" "$dir/log"; do sleep 0.01; done
  kill -s "$3" $pid 2>/dev/null
  wait $pid
}
stopped term "^features:" TERM
status=$?
# A fast machine may be through before the signal comes; else it is exit code 1 and a sentence.
if [ $status -eq 0 ]; then
  check "the run was over before the signal came" same term
else
  check "SIGTERM ends with 1" test $status -eq 1
  check "and says how to go on" grep -q "nativefold: .*stopped on request; the same command goes on" "$dir/log"
  check "with a checkpoint" sh -c "ls '$dir/term/demo_5i55/.nativefold' | grep -q '^seed-1_'"
  fold term --resume
  check "from which it goes on" grep -q "goes on from\|are there already" "$dir/log"
  check "to the same files" same term
fi

# Checkpoints that are damaged are made anew; what belongs to other runs is refused.
stopped hurt "^trunk:" INT
for file in "$dir"/hurt/demo_5i55/.nativefold/seed-*; do
  [ -f "$file" ] || continue
  printf 'X' | dd of="$file" bs=1 seek=1500 conv=notrunc 2>/dev/null
done
cp -r "$dir/hurt" "$dir/short"
fold hurt --resume
check "a damaged checkpoint is made anew" same hurt
for file in "$dir"/short/demo_5i55/.nativefold/seed-*; do
  [ -f "$file" ] || continue
  head -c 1000 "$file" >"$dir/head" && mv "$dir/head" "$file"
done
fold short --resume
check "a cut one too" same short
fold plain --resume --num_recycles=1
status=$?
check "other options are refused" test $status -eq 2
check "in a sentence" grep -q "nativefold: .*other options: choose another --output_dir, or add --force_output_dir" "$dir/log"
fold whole --resume
status=$?
check "so is a directory of a run without --resume" test $status -eq 2
check "which is said" grep -q "a run without --resume" "$dir/log"
check "and nothing was touched" test ! -e "$dir/whole/demo_5i55/.nativefold"
fold plain --resume --force_output_dir --num_recycles=3
check "--force_output_dir begins again" sh -c "grep -q 'made anew' '$dir/log' && ! diff -rq --exclude=.nativefold '$dir/whole/demo_5i55' '$dir/plain/demo_5i55' >/dev/null"
echo broken >"$dir/killed/demo_5i55/.nativefold/run"
fold killed --resume
check "a damaged record is made anew" same killed
with_seeds "1, 8"
fold killed --resume
status=$?
check "another job of the same name is refused" test $status -eq 2
check "and named" grep -q "another job" "$dir/log"

# What cannot fit is refused before it is begun.
fold small --host_memory_gib=0.01
status=$?
check "too little memory ends with 3" test $status -eq 3
check "with what is needed and the flag" grep -q "nativefold: .*tokens need at least .* GiB of host memory, but --host_memory_gib allows 0.01: raise it to" "$dir/log"
fold reported --report="$dir/report.json"
check "a report is one JSON object" grep -q '^{"program":"nativefold".*"stages":.*"plan":.*}$' "$dir/report.json"
finish
