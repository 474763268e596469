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
for tool in memcheck racecheck; do
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed: no $tool"; continue; }
  step "ops under $tool" compute-sanitizer --tool $tool --error-exitcode 9 "$ops"
  step "selfcheck under $tool" compute-sanitizer --tool $tool --error-exitcode 9 "$build/nativefold" selfcheck --device=cuda
done
exit $failed
