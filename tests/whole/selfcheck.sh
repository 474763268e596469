#!/bin/sh
# The program's own check of this machine's device: every line passes, and the exit status says so.
nativefold=${BUILD:-build}/nativefold
passed=0 failed=0
output=$("$nativefold" selfcheck 2>&1)
status=$?
if [ $status -eq 0 ] && echo "$output" | grep -q "All right" && ! echo "$output" | grep -q FAIL; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
  echo "  FAIL selfcheck, status $status"
  echo "$output" | grep -v pass | sed 's/^/    /'
fi
# What is asked for by name and absent is refused.
output=$(CUDA_VISIBLE_DEVICES=none "$nativefold" selfcheck --device=cuda 2>&1)
if [ $? -eq 2 ] && echo "$output" | grep -q -- "--device=cpu"; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
  echo "  FAIL a GPU that is absent is refused: $output"
fi
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
