#!/bin/sh
# The rows of RESULTS.md that need a GPU: bench/gpu_table.sh BUILD PART..., on the machine that has it. Parts, and what an H100
# takes for them with the network's seeded weights, which the first call makes in TMPDIR:
#   warm      1024, 2048 and 3072 tokens, the median of three whole jobs each (9 minutes)
#   full      one whole job of 4096 tokens (5 minutes)
#   ceilings  5120 tokens under 70, 40, 24, 16 and 12 GiB of the card: a pass, 20 steps and a confidence pass (6 minutes)
#   large     6144, 8192 and 10,240 tokens under the whole card, likewise (10 minutes)
#   streamed  2048 and 4096 tokens with all pair tensors on the host, likewise, and the ops that stream them (3 minutes)
# LIMIT: seconds after which one size is given up (1200). Of a size that fails its exit status is told, and the rest goes on.
build=${1:?usage: bench/gpu_table.sh BUILD PART...}
shift
limit=${LIMIT:-1200} failed=0
cd "$(dirname "$0")/.." || exit 1
row() {  # row WHAT FLAG...
  echo "== $1"
  shift
  { timeout "$limit" "$build/nativefold" bench model --device=cuda "$@" 2>&1 || echo "not done: exit status $?"; } | grep -v '^$\|^part '
}
for part in "$@"; do
  case $part in
    warm) for n in 1024 2048 3072; do row "$n tokens" --tokens=$n --whole --repeats=3; done ;;
    full) row "4096 tokens" --tokens=4096 --whole --repeats=1 ;;
    ceilings) for g in 70 40 24 16 12; do row "5120 tokens under $g GiB" --tokens=5120 --repeats=1 --gpu_memory_gib=$g; done ;;
    large) for n in 6144 8192 10240; do row "$n tokens" --tokens=$n --repeats=1; done ;;
    streamed)
      for n in 2048 4096; do row "$n tokens, streamed" --tokens=$n --repeats=1 --offload=host; done
      "$build/bench/ops" cuda --away 2048 4096 ;;
    *) echo "bench/gpu_table.sh: $part is no part" >&2; failed=1 ;;
  esac
done
exit $failed
