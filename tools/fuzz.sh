#!/bin/sh
# Builds the fuzz targets with clang's libFuzzer and runs each for some seconds: fuzz.sh BUILD SECONDS [TARGET...]
# A crash leaves its input in BUILD/fuzz/ and fails the run. Ends with the count that the test runner adds up.
build=$1 seconds=$2
shift 2
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c)
if ! command -v clang >/dev/null || ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n){return 0;}' |
  clang -x c - -fsanitize=fuzzer -o /dev/null 2>/dev/null; then
  echo "  SKIP: clang with libFuzzer is not installed"
  echo "0 passed, 0 failed, $# skipped"
  exit 0
fi
mkdir -p "$build/fuzz/objects"
flags="-std=c17 -D_GNU_SOURCE -O1 -g -Isrc -Iinclude -I. -fsanitize=address,undefined -fno-sanitize-recover=undefined -Wno-unknown-pragmas"
for file in src/base/*.c src/formats/*.c src/chem/*.c src/structure/*.c src/input/*.c src/features/*.c src/weights/*.c; do
  object=$build/fuzz/objects/$(echo "$file" | tr / _).o
  # shellcheck disable=SC2086
  [ "$object" -nt "$file" ] || clang $flags -fsanitize=fuzzer-no-link -c "$file" -o "$object" || exit 1
done
for file in src/chem/*.S src/weights/*.S; do clang -Isrc -I. -c "$file" -o "$build/fuzz/objects/$(echo "$file" | tr / _).o"; done
passed=0 failed=0 skipped=0
# fuzz_smiles hands what it makes up to RDKit.
NATIVEFOLD_RDKIT=$(realpath "$build")/libnativefold_rdkit.so
export NATIVEFOLD_RDKIT
for target in "$@"; do
  name=$(basename "$target" .c)
  if [ "$name" = fuzz_smiles ] && [ ! -f "$NATIVEFOLD_RDKIT" ]; then
    echo "  SKIP: fuzz_smiles needs RDKit"
    skipped=$((skipped + 1))
    continue
  fi
  # shellcheck disable=SC2086
  clang $flags -fsanitize=fuzzer "$target" "$build"/fuzz/objects/*.o -Wl,-Bstatic -ljansson -lzstd -llzma -lz \
    -Wl,-Bdynamic -lm -lpthread -ldl -o "$build/fuzz/$name" || exit 1
  mkdir -p "$build/fuzz/corpus_$name"
  if "$build/fuzz/$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 -artifact_prefix="$build/fuzz/$name-" \
    "$build/fuzz/corpus_$name" >"$build/fuzz/$name.log" 2>&1; then
    passed=$((passed + 1))
  else
    echo "  FAIL $name: see $build/fuzz/$name.log"
    tail -n 30 "$build/fuzz/$name.log"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
