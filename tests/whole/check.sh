# Sourced by the scripts beside it; no test of its own. `dir`: the script's scratch directory; `build`: where the program is.
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
need_conformers() {  # ends the script, as skipped, where no job file can be folded
  [ -f "$build/libnativefold_rdkit.so" ] && return
  echo "  SKIP: RDKit is not installed: no conformers, so no job files"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}
