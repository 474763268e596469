#!/bin/sh
# From job file to files with the demo weights, with few steps: what the demo shows, as a test.
# BUILD: where the program is. Ends with the count that run.sh adds up.
build=${BUILD:-build}
nativefold=$build/nativefold
dir=$(mktemp -d /tmp/nativefold_whole_XXXXXX)
trap 'rm -rf "$dir"' EXIT
. tests/whole/check.sh
skip() { echo "  SKIP: $1"; skipped=$((skipped + 1)); }
few="--device=cpu --num_recycles=1 --diffusion_steps=20 --num_diffusion_samples=2"

if [ -f "$build/libnativefold_rdkit.so" ]; then
  # shellcheck disable=SC2086
  check "the demo job folds" "$nativefold" predict --json_path=data/demo/demo_5i55.json --model_dir=data/demo \
    --output_dir="$dir/a" --output_format=cif,pdb $few
  check "every sample is the crystal's helix" "$nativefold" compare --reference=data/demo/demo_5i55_reference.pdb \
    --max_ca_rmsd=0.3 "$dir"/a/demo_5i55/seed-*/*_model.cif
  check "and so it is in the PDB files" "$nativefold" compare --reference=data/demo/demo_5i55_reference.pdb \
    --max_ca_rmsd=0.3 "$dir"/a/demo_5i55/*_model.pdb "$dir"/a/demo_5i55/seed-*/*_model.pdb
  check "no centre of it is inverted" sh -c "grep -A 1 chain_chirality_errors '$dir/a/demo_5i55/demo_5i55_summary_confidences.json' | grep -qx '  0'"
  for file in model.cif confidences.json summary_confidences.json ranking_scores.csv data.json; do
    check "$file is there" test -s "$dir/a/demo_5i55/demo_5i55_$file"
  done
  check "nothing half-written is left" sh -c "! find '$dir/a' -name '*.tmp*' | grep ."
  # shellcheck disable=SC2086
  "$nativefold" predict --json_path=data/demo/demo_5i55.json --model_dir=data/demo --output_dir="$dir/b" $few >"$dir/log" 2>&1
  check "the same seed gives the same file" cmp "$dir/a/demo_5i55/demo_5i55_confidences.json" \
    "$dir/b/demo_5i55/demo_5i55_confidences.json"
  # shellcheck disable=SC2086
  "$nativefold" predict --json_path=data/demo/demo_5i55.json --model_dir=data/demo --output_dir="$dir/b" $few >"$dir/log" 2>&1
  check "a second run gets a directory of its own" sh -c "test \$(ls '$dir/b' | wc -l) = 2"
  check "features are written" "$nativefold" featurise --json_path=data/demo/demo_5i55.json --output="$dir/f.npz"
  # A bare machine: the program alone, none of its libraries of the chemistry.
  cp "$nativefold" "$dir/bare"
  # shellcheck disable=SC2086
  check "a feature file folds where nothing is installed" env -i HOME="$dir" "$dir/bare" fold --features="$dir/f.npz" \
    --model_dir=data/demo --output_dir="$dir/c" $few
  "$nativefold" plan --features="$dir/f.npz" --model_dir=data/demo --device=cpu --offload=host >"$dir/run" 2>&1
  check "--offload on a CPU is planned" test $? = 0
  check "with a warning" test "$(grep -c 'offload has no effect: the network runs on the CPU' "$dir/run")" = 1
  atoms() { awk '$1 == "ATOM" {print $4, $11, $12, $13}' "$1"; }
  atoms "$dir/a/demo_5i55/demo_5i55_model.cif" >"$dir/atoms_a"
  atoms "$dir"/c/f/f_model.cif >"$dir/atoms_c"
  check "it gives the job's coordinates" cmp "$dir/atoms_a" "$dir/atoms_c"
  check "there are 185 atoms" test "$(wc -l <"$dir/atoms_a")" = 185
  # shellcheck disable=SC2086
  check "compressed files on request" "$nativefold" predict --json_path=data/demo/demo_5i55.json --model_dir=data/demo \
    --output_dir="$dir/d" --compress_large_output_files --save_embeddings --save_distogram --device=cpu --num_recycles=1 \
    --diffusion_steps=2 --num_diffusion_samples=1
  for file in demo_5i55_model.cif.zst demo_5i55_confidences.json.zst seed-1_embeddings/demo_5i55_seed-1_embeddings.npz \
    seed-1_distogram/demo_5i55_seed-1_distogram.npz; do
    check "$file is there" test -s "$dir/d/demo_5i55/$file"
  done
  mkdir "$dir/jobs"
  cp data/demo/demo_5i55.json "$dir/jobs/good.json"
  echo '{"name": 1}' >"$dir/jobs/bad.json"
  sequences='"modelSeeds": [1], "dialect": "alphafold3", "version": 4, "sequences": [{"ligand": {"id": "L",'
  echo '{"name": "later1", '"$sequences"' "smiles": "C(C"}}]}' >"$dir/jobs/later1.json"
  echo '{"name": "later2", '"$sequences"' "ccdCodes": ["NOSUCH"]}}]}' >"$dir/jobs/later2.json"
  "$nativefold" predict --input_dir="$dir/jobs" --model_dir=data/demo --output_dir="$dir/e" --device=cpu --num_recycles=1 \
    --diffusion_steps=2 --num_diffusion_samples=1 >"$dir/run" 2>&1
  check "a directory with a bad job exits with 1" test $? = 1
  first=$(grep -n "output goes to" "$dir/run" | head -n 1 | cut -d: -f1)
  head -n "${first:-0}" "$dir/run" >"$dir/before"
  check "a bad SMILES is told before the first job runs" grep -F 'later1.json: ligand L: smiles: RDKit cannot' "$dir/before"
  check "and an unknown code" grep -F 'NOSUCH' "$dir/before"
  check "both are in the table" test "$(grep -c '^FAILED .*later[12].json: ' "$dir/run")" = 2
  check "no directory is made for them" test "$(ls "$dir/e")" = demo_5i55
  check "its good job is folded" test -s "$dir/e/demo_5i55/demo_5i55_model.cif"
  # An unknown letter: the file that the search leaves must be one that features take.
  printf '{"name": "letters", "modelSeeds": [1], "dialect": "alphafold3", "version": 4, "sequences": [%s, %s]}' \
    '{"protein": {"id": "A", "sequence": "AUCDEFK", "unpairedMsa": "", "pairedMsa": "", "templates": []}}' \
    '{"protein": {"id": "B", "sequence": "GHIKLMN", "unpairedMsa": "", "pairedMsa": "", "templates": []}}' >"$dir/letters.json"
  check "a job with an unknown letter is completed" "$nativefold" search --json_path="$dir/letters.json" --output_dir="$dir/l"
  check "and read again" "$nativefold" featurise --json_path="$dir/l/letters/letters_data.json" --output="$dir/l.npz"
  check "the example of the C API runs" "$build/fold_one" data/demo data/demo/demo_5i55.json "$dir/g"
  check "and writes files" test -s "$dir/g/demo_5i55_model.cif"
else
  skip "RDKit is not installed: no conformers, so no job files"
fi
# Databases, and jobs in stages: neither needs chemistry.
mkdir "$dir/s"
printf '>a\nMKV\n>b\nMKVA\n>c\nGGGG\n' >"$dir/s/u.fa"
check "a database is split" "$nativefold" db shard "$dir/s/u.fa" --shards=2
check "and its size recorded" grep -qx '{"sequences": 3, "residues": 11}' "$dir/s/u.fa@2.json"
# shellcheck disable=SC2016
"$nativefold" db check --db_dir="$dir/s" --uniref90_database_path='${DB_DIR}/u.fa@2' --mgnify_database_path='${DB_DIR}/u.fa' \
  >"$dir/run" 2>&1
check "databases that are absent make db check fail" test $? = 2
check "a recorded Z is told" grep -q '^uniref90 .*/u.fa@2  Z 3 sequences (recorded)' "$dir/run"
check "and that HMMER counts a whole file itself" grep -q '^mgnify .*/u.fa  Z as HMMER counts' "$dir/run"
check "absent ones are named" test "$(grep -c '^[a-z_0-9]* *absent: --' "$dir/run")" = 7
full='"unpairedMsa": "", "pairedMsa": "", "templates": []'
chains() {  # chains NAME CHAIN...: a job
  job=$1
  shift
  printf '{"name": "%s", "modelSeeds": [1], "dialect": "alphafold3", "version": 1, "sequences": [%s]}' "$job" "$*" >"$dir/s/$job.json"
}
chains p '{"protein": {"id": "A", "sequence": "MKVLADERTW", '"$full"'}},' '{"protein": {"id": "C", "sequence": "MKV", "templates": []}}'
chains q '{"protein": {"id": "A", "sequence": "GGGSAAAK", '"$full"'}}'
chains r '{"protein": {"id": "A", "sequence": "GGGSAAAK", "unpairedMsa": ""}}'
"$nativefold" predict --json_path="$dir/s/p.json" --norun_data_pipeline --output_dir="$dir/s/o" --device=cpu >"$dir/run" 2>&1
check "a fold without a search names the chain that lacks its MSA" test $? = 2 -a \
  "$(grep -c '/p.json: protein C: unpairedMsa: is not set and no search is run' "$dir/run")" = 1
check "a search alone writes the job" "$nativefold" predict --json_path="$dir/s/q.json" --norun_inference --output_dir="$dir/s/o"
check "and nothing else" test "$(cd "$dir/s/o" && find . -type f)" = ./q/q_data.json
"$nativefold" search --json_path="$dir/s/r.json" --output_dir="$dir/s/o" >"$dir/run" 2>&1
check "MSAs that are set in part are refused" test $? = 2 -a "$(grep -c '/r.json: protein A: pairedMsa: is not set although' "$dir/run")" = 1
check "searched jobs are combined" "$nativefold" combine "$dir/s/o/q/q_data.json" "$dir/s/o/q/q_data.json" --output="$dir/s/qq.json"
check "the complex is read" "$nativefold" search --json_path="$dir/s/qq.json" --output_dir="$dir/s/o"
check "its chains have names of their own" sh -c "tr -d ' \n' <'$dir/s/qq.json' | grep -qF '\"id\":[\"A\",\"B\"]'"
check "alphafold3 as a name means predict" sh -c "ln -s '$(realpath "$nativefold")' '$dir/alphafold3' && '$dir/alphafold3' --help | grep -q json_path"
if command -v g++ >/dev/null; then
  check "the public header is C++ too" sh -c "printf '#include <nativefold.h>\nint main() {}\n' | g++ -Iinclude -Wall -Werror -x c++ -fsyntax-only -"
else
  skip "g++ is not installed"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
