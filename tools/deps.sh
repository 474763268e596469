#!/bin/sh
# Fails if a room includes one that comes after it in the flow: deps.sh ROOM... (in order).
# cli/ and src/nativefold.c may include every room and are not listed.
bad=0
order="$*"
rank() { i=0; for r in $order; do [ "$r" = "$1" ] && { echo $i; return; }; i=$((i + 1)); done; echo -1; }
for room in $order; do
  here=$(rank "$room")
  seen=
  for file in $(find "src/$room" -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' | sort); do
    for included in $(sed -n 's/^#include "\([a-z_]*\)\/.*/\1/p' "$file" | sort -u); do
      there=$(rank "$included")
      if [ "$there" -lt 0 ]; then
        echo "$file includes \"$included/\", which is no room"; bad=1
      elif [ "$there" -gt "$here" ]; then
        echo "$file includes upward: $room -> $included"; bad=1
      elif [ "$there" -lt "$here" ]; then
        case " $seen " in *" $included "*) ;; *) seen="$seen $included" ;; esac
      fi
    done
    if grep -q '#include "nativefold.h"\|#include "cli/' "$file"; then echo "$file includes the program above it"; bad=1; fi
  done
  echo "$room ->${seen:- (nothing)}"
done
exit $bad
