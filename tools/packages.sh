#!/bin/sh
# Installs the Debian packages that the build, the demo and the tests need, if they are missing.
# packages.sh build: what compiling needs. packages.sh all: the tests' tools too.
set -e
build="gcc g++ make libjansson-dev libzstd-dev zlib1g-dev liblzma-dev librdkit-dev libboost-dev"
tests="clang libclang-rt-14-dev valgrind gemmi dssp hmmer"
case "${1:-build}" in
  build) wanted=$build ;;
  all) wanted="$build $tests" ;;
  *) echo "usage: packages.sh [build|all]" >&2; exit 2 ;;
esac
missing=
for p in $wanted; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "packages.sh: please install these (Debian's names):$missing" >&2
  exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing:$missing"
$sudo apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
