#!/bin/sh
# The checks that need a GPU, on the machine that has it: bench/gpu_check.sh BUILD, after make cuda=1 BUILD=BUILD all
# check-binaries. With NATIVEFOLD_REFERENCE the golden tests run as well, in bf16 and in fp32.
build=${1:-build}
failed=0
step() {  # step NAME COMMAND...
  name=$1
  shift
  if output=$("$@" 2>&1); then
    printf '%-44s ok    %s\n' "$name" "$(printf '%s\n' "$output" | tail -n 1)"
  else
    failed=1
    printf '%-44s FAIL\n' "$name"
    printf '%s\n' "$output" | tail -n 20 | sed 's/^/    /'
  fi
}
ops=$build/tests/ops/test_ops
step "selfcheck" "$build/nativefold" selfcheck --device=cuda
step "ops" "$ops"
step "ops, fp32" env NATIVEFOLD_CUDA_FP32=1 "$ops"
step "plans give the same bits" "$build/tests/model/test_memory" plans_give_the_same_bits_on_a_gpu
for golden in "$build"/tests/golden/test_small "$build"/tests/golden/test_tiny; do
  step "$(basename "$golden")" "$golden"
  step "$(basename "$golden"), fp32" env NATIVEFOLD_CUDA_FP32=1 "$golden"
done
step "killed 20 times with --resume" env BUILD="$build" DEVICE=cuda tests/whole/resume.sh
# The sanitizers take minutes for a test: each op's runs by itself, several side by side, SANITIZER_SECONDS at most.
if command -v compute-sanitizer >/dev/null; then
  logs=$(mktemp -d "${TMPDIR:-/tmp}/nativefold_sanitizer_XXXXXX") || exit 1
  trap 'rm -rf "$logs"' EXIT
  for tool in memcheck racecheck; do
    # racecheck reports kernels of cuBLASLt, which are not ours to mend.
    [ $tool = racecheck ] && export NATIVEFOLD_CUBLASLT=0
    sed -n 's/^TEST(\(.*\)).*/\1/p' tests/ops/test_ops.c | OMP_NUM_THREADS=1 xargs -P "${JOBS:-8}" -I NAME sh -c "
      timeout ${SANITIZER_SECONDS:-900} compute-sanitizer --tool $tool --error-exitcode 9 $ops NAME >$logs/$tool.NAME 2>&1
      echo \$? >$logs/$tool.NAME.status"
    # A test that asks nothing of the GPU passes, and the tool complains of that.
    for log in "$logs/$tool".*.status; do
      name=${log%.status}
      step "$(basename "$name")" sh -c "tail -n 20 '$name'; s=\$(cat '$log'); [ \$s = 0 ] || { grep -q ' 0 failed' '$name' && grep -q 'before first instrumented API call' '$name'; }"
    done
  done
else
  echo "compute-sanitizer is not installed: no memcheck, no racecheck"
fi
exit $failed
