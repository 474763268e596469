# Sourced by the scripts beside it; no test of its own. `dir`: the script's scratch directory.
# shellcheck shell=sh disable=SC2034,SC2154  # counts are read, and dir is set, by the script
passed=0 failed=0 skipped=0
check() {  # check NAME COMMAND...: the command must succeed
  name=$1
  shift
  if "$@" >"$dir/checked" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "  FAIL $name"
    tail -n 5 "$dir/checked" | sed 's/^/    /'
  fi
}
