#!/bin/sh
# Several jobs through search and fold: the search of the next job goes on while the present one folds, what fails is
# its own job's, and nothing is left behind. jackhmmer is a script that finds the query alone.
build=${BUILD:-build}
nativefold=$build/nativefold
dir=$(mktemp -d /tmp/nativefold_stages_XXXXXX)
trap 'rm -rf "$dir"' EXIT
. tests/whole/check.sh

need_conformers

mkdir "$dir/jobs" "$dir/db"
for database in uniref90 small_bfd mgnify uniprot; do printf '>x1\nMKVLADERTW\n' >"$dir/db/$database.fa"; done
job() {  # job NUMBER SEQUENCE
  printf '{"name": "job%s", "modelSeeds": [1], "dialect": "alphafold3", "version": 1, "sequences": [{"protein": {"id": "A",
"sequence": "%s", "templates": []}}]}' "$1" "$2" >"$dir/jobs/job$1.json"
}
job 1 GGGSAAAK
job 2 WWWSAAAK
job 3 CCCSAAAK
cat >"$dir/jackhmmer" <<'PROGRAM'
#!/bin/sh
case "$*" in *-h*) echo "# HMMER 3.4 (a script)"; exit ;; esac
dir=$(dirname "$0")
for word in "$@"; do
  [ "$last" = -A ] && out=$word
  query=$last
  last=$word
done
sequence=$(grep -v '>' "$query")
[ -f "$dir/job1/job1_ranking_scores.csv" ] || echo "$sequence" >>"$dir/before_the_first_was_done"
case "$sequence" in
  WWW*)
    [ -f "$dir/hang" ] && echo $$ >>"$dir/pids" && exec sleep 1000
    [ -f "$dir/break" ] && echo "Error: out of luck" >&2 && exit 9
    case "$last" in *mgnify.fa) [ -f "$dir/break_one" ] && exit 9 ;; esac
    echo x >>"$dir/searches" ;;
esac
printf '# STOCKHOLM 1.0\n\nquery %s\n//\n' "$sequence" >"$out"
PROGRAM
chmod +x "$dir/jackhmmer"
run() {  # run OUTPUT_DIR STEPS FLAG...
  output=$1 steps=$2
  shift 2
  "$nativefold" predict --input_dir="$dir/jobs" --model_dir=data/demo --output_dir="$output" --device=cpu --num_recycles=1 \
    --num_diffusion_samples=1 --diffusion_steps="$steps" --force_output_dir --noprefilter --jackhmmer_binary_path="$dir/jackhmmer" \
    --uniref90_database_path="$dir/db/uniref90.fa" --small_bfd_database_path="$dir/db/small_bfd.fa" \
    --mgnify_database_path="$dir/db/mgnify.fa" --uniprot_cluster_annot_database_path="$dir/db/uniprot.fa" "$@"
}

run "$dir" 300 >"$dir/said" 2>&1
check "three jobs are searched for and folded" test $? = 0
check "in their order" sh -c "grep '^done' '$dir/said' | tr -d '\n' | grep -q 'job1.json.*job2.json.*job3.json'"
check "the second is searched for before the first is folded" grep -q WWW "$dir/before_the_first_was_done"
check "the third not before the second is folded" sh -c "! grep -q CCC '$dir/before_the_first_was_done'"
for i in 1 2 3; do check "job $i has its files" test -s "$dir/job$i/job${i}_model.cif" -a -s "$dir/job$i/job${i}_data.json"; done

# The same with features, scores and files beside the network.
run "$dir/p" 20 >"$dir/said" 2>&1
run "$dir/o" 20 --overlap=always >"$dir/said" 2>&1
check "searches, features and files go on beside the network" test $? = 0
check "in their order" sh -c "grep '^done' '$dir/said' | tr -d '\n' | grep -q 'job1.json.*job2.json.*job3.json'"
for i in 1 2 3; do
  check "job $i has the same files" diff -r -I model_group_name -x "*_data.json" "$dir/o/job$i" "$dir/p/job$i"
done

touch "$dir/break"
run "$dir/b" 2 >"$dir/said" 2>&1
check "a search that fails fails its job" test $? = 1
check "and is told of there" grep -q "^FAILED .*job2.json: .*job2.json: chain A: jackhmmer on .*: failed with exit status 9: Error: out of luck" "$dir/said"
check "the others are done" test -s "$dir/b/job1/job1_model.cif" -a -s "$dir/b/job3/job3_model.cif" -a ! -e "$dir/b/job2/job2_data.json"
rm "$dir/break"

# With --resume what is found is kept, be it that one program fails.
rm -f "$dir/searches"
touch "$dir/break_one"
run "$dir/d" 2 --resume >"$dir/said" 2>&1
check "one search of four fails" test $? = 1 -a "$(wc -l <"$dir/searches")" = 3
rm "$dir/break_one"
check "and is the one that is left to do" run "$dir/d" 2 --noforce_output_dir --resume
check "so that there were four in all" test "$(wc -l <"$dir/searches")" = 4
check "and the job is done" test -s "$dir/d/job2/job2_model.cif"

# The first job folds, the second one's search hangs: then the signal comes.
touch "$dir/hang"
run "$dir/c" 100000 >"$dir/said" 2>&1 &
shell=$!
while [ ! -s "$dir/pids" ] && kill -0 $shell 2>/dev/null; do sleep 0.05; done
program=$(awk "{print \$4}" "/proc/$(head -n 1 "$dir/pids")/stat" 2>/dev/null)
check "a search hangs beside the fold" test -n "$program"
kill "${program:-$shell}" 2>/dev/null
wait $shell
check "the signal ends the program" test $? = 143
is_gone() {  # is_gone PID: within ten seconds; what is dead but not yet collected is gone
  for _ in $(seq 100); do
    case "$(awk '{print $3}' "/proc/$1/stat" 2>/dev/null)" in "" | Z | X) return 0 ;; esac
    sleep 0.1
  done
  return 1
}
# shellcheck disable=SC2013
for pid in $(cat "$dir/pids"); do check "no child is left" is_gone "$pid"; done
rm "$dir/hang"
check "the next run does all" run "$dir/c" 2
check "from the files that the first one left" test -s "$dir/c/job3/job3_model.cif"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
