#!/bin/sh
# --overlap: a directory of jobs whose features, scores and files are made beside the network leaves the files, the log
# and the failures of one where each waits for the other. BUILD: where the program is.
build=${BUILD:-build}
nativefold=$build/nativefold
dir=$(mktemp -d /tmp/nativefold_overlap_XXXXXX)
trap 'rm -rf "$dir"' EXIT
. tests/whole/check.sh
need_conformers
OMP_NUM_THREADS=1
export OMP_NUM_THREADS
mkdir "$dir/jobs"
job() {  # job NAME SEEDS SEQUENCE
  printf '{"name": "%s", "modelSeeds": [%s], "dialect": "alphafold3", "version": 1, "sequences": [{"protein": {"id": "A",
"sequence": "%s", "unpairedMsa": "", "pairedMsa": "", "templates": []}}]}' "$1" "$2" "$3" >"$dir/jobs/$1.json"
}
job a 1 GGGSAAAKWYTGG
job b 3,1,4 MKVLADERTWNNY
job c 1 GGG
job d 2 CCCSAAAKPPPPPPPPPPPP
fold() {  # fold DIR OVERLAP FLAG...
  to=$1 overlap=$2
  shift 2
  "$nativefold" fold --input_dir="$dir/jobs" --model_dir=data/demo --output_dir="$dir/$to" --device=cpu --num_recycles=1 \
    --diffusion_steps=5 --num_diffusion_samples=3 --overlap="$overlap" "$@" 2>"$dir/$to.log"
}
# The time of writing is in the mmCIF.
same() { diff -r --exclude=.nativefold -I model_group_name "$dir/$1" "$dir/$2"; }
# Without times, sizes of memory and names of directories.
said() { sed "s|$dir/[a-z]*/|DIR/|g; s/[0-9.]* s\$//; s/ allows [0-9.]* GiB//; s/ [0-9.]*  *[0-9.e-]* *\$//; s/ [0-9.]* *\$//" "$dir/$1.log"; }
fold apart never
check "jobs that wait for each other are folded" test $? = 0 -a -s "$dir/apart/d/d_model.cif"
fold beside always --report="$dir/report"
check "and those that overlap" test $? = 0
check "to the same files" same apart beside
said apart >"$dir/said_apart"
said beside >"$dir/said_beside"
check "with the same lines in the same order" diff "$dir/said_apart" "$dir/said_beside"
check "and a report of each, in order" test "$(sed 's/.*"name":"\([a-z]\)".*/\1/' "$dir/report" | tr -d '\n')" = abcd
check "that tells how long the network waited" test "$(grep -c '"network_seconds":[0-9.e-]*,"idle_seconds":[0-9.e-]*,' "$dir/report")" = 4
fold small always --host_memory_gib=0.4
check "where memory is short they wait" same apart small

# A file that cannot be written, where others are on their way.
broken() {  # broken DIR OVERLAP
  mkdir -p "$dir/$1/b/seed-1_sample-1/b_seed-1_sample-1_model.cif"
  fold "$1" "$2" --force_output_dir
}
broken stuck never
check "a file that cannot be written fails its job" test $? = 1
broken stuckbeside always
check "so it does beside the network" test $? = 1
check "the sentence is the same" test "$(said stuck | grep '^FAILED')" = "$(said stuckbeside | grep '^FAILED')"
check "and it is there" grep -q "^FAILED .*b.json: .*b_seed-1_sample-1_model.cif: cannot be written: Is a directory" "$dir/stuckbeside.log"
check "what is computed stays, what follows is done" same stuck stuckbeside

# Features that cannot be made.
job e 1 GGGGGG
sed -i 's/"unpairedMsa": ""/"unpairedMsa": ">q\\nGGGGGG\\n>x\\nGG!GGG\\n"/' "$dir/jobs/e.json"
job f 1 GGA
fold badapart never
fold bad always
said badapart >"$dir/said_apart"
said bad >"$dir/said_beside"
check "features that fail are told of as ever" diff "$dir/said_apart" "$dir/said_beside"
check "in their job" grep -q "^FAILED .*e.json: " "$dir/bad.log"
check "and the jobs around it are done" same badapart bad
rm "$dir/jobs/e.json" "$dir/jobs/f.json"

# Killed and stopped again and again.
seed=11 runs=0
while [ $runs -lt 24 ]; do
  seed=$(((seed * 1103515245 + 12345) % 2147483648))
  [ $((runs % 2)) = 0 ] && signal=KILL || signal=TERM
  timeout -s $signal "0.$(printf '%02d' $((seed / 65536 % 60 + 2)))" "$nativefold" fold --input_dir="$dir/jobs" --model_dir=data/demo \
    --output_dir="$dir/killed" --device=cpu --num_recycles=1 --diffusion_steps=5 --num_diffusion_samples=3 --overlap=always \
    --resume >"$dir/log" 2>&1
  runs=$((runs + 1))
done
fold killed always --resume
check "a run that was ended 24 times ends with the same files" same apart killed
fold killed always --resume
check "and is complete then" test "$(grep -c 'is complete already' "$dir/killed.log")" = 4
echo half >"$dir/killed/a/a_data.json.tmp.1"  # as a run leaves it that is killed beside a complete job
fold killed always --resume
check "nothing half-written is left" sh -c "! find '$dir/killed' -name '*.tmp*' | grep ."
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
