#!/bin/sh
# Runs test programs and adds up their counts: run.sh PROGRAM...
# "env NAME=VALUE" among them sets a variable for those that follow; a program may have arguments ("tool a b"). check.sh is
# what scripts share, and passed over.
passed=0 failed=0 skipped=0
for program in "$@"; do
  case "$program" in
    "env "*) export "${program#env }"; continue ;;
    */check.sh) continue ;;
  esac
  echo "$program"
  output=$($program 2>&1)
  status=$?
  last=$(printf '%s\n' "$output" | tail -n 1)
  printf '%s\n' "$output" | sed '$d' | grep -v '^$'
  # shellcheck disable=SC2086
  set -- $last
  case "$last" in
    *" passed, "*" failed, "*" skipped")
      passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
      if [ $status -ne 0 ] && [ "$3" -eq 0 ]; then echo "  FAIL exit status $status"; failed=$((failed + 1)); fi ;;
    *) echo "$last"; echo "  FAIL the program ended early, status $status"; failed=$((failed + 1)) ;;
  esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
