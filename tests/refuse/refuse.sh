#!/bin/sh
# Broken jobs, weight files, dictionaries, mmCIF and feature files, given to the program itself. Each must end with its
# exit code, one sentence on stderr that names the file and what is wrong in it, and nothing left behind.
# Usage: [BUILD=build] tests/refuse/refuse.sh [WORD]   (WORD: only the cases whose file or message has it)
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-build}
case $build in /*) ;; *) build=$root/$build ;; esac
program=$build/nativefold
only=$1
passed=0 failed=0 skipped=0
finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ $failed -eq 0 ]
  exit
}
if [ ! -x "$program" ]; then
  echo "  SKIP: $program is not built"
  skipped=1
  finish
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
# Neither dictionaries nor caches of the user's.
HOME=$work XDG_CACHE_HOME=$work/cache XDG_DATA_HOME=$work/share
export HOME XDG_CACHE_HOME XDG_DATA_HOME
unset NATIVEFOLD_CCD
cd "$work" || exit 1
mkdir in out

# check CODE FILE WORD COMMAND...: the command fails with CODE, in one sentence that holds FILE and WORD.
check() {
  code=$1 file=$2 word=$3
  shift 3
  if [ -n "$only" ]; then
    case "$file $word" in *"$only"*) ;; *) return ;; esac
  fi
  rm -rf out
  mkdir out
  before=$(ls -AR in)
  "$@" >stdout 2>stderr </dev/null
  got=$?
  message=$(grep '^nativefold: ' stderr)
  wrong=
  [ $got -eq "$code" ] || wrong="exit code $got, not $code"
  [ "$(grep -c '^nativefold: ' stderr)" -eq 1 ] || wrong="$wrong; not one sentence"
  [ "$(grep -c -v '^nativefold: ' stderr)" -le "$notes" ] || wrong="$wrong; more than the sentence on stderr"
  if grep -E -q 'Sanitizer|runtime error' stderr; then wrong="$wrong; a sanitizer spoke"; fi
  case "$message" in *"$file"*) ;; *) wrong="$wrong; does not name $file" ;; esac
  case "$message" in *"$word"*) ;; *) wrong="$wrong; does not say $word" ;; esac
  # The job, complete with MSAs and templates, is written before it is folded and is no partial output.
  left=$(find out -type f ! -name '*_data.json')
  [ -z "$left" ] || wrong="$wrong; left behind: $left"
  [ "$before" = "$(ls -AR in)" ] || wrong="$wrong; files appeared beside the input"
  if [ -z "$wrong" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "  FAIL $*: $wrong"
    sed 's/^/    /' stderr | head -n 8
  fi
}
notes=0  # lines that may come beside the sentence

# Bytes by their octal numbers; a 32-bit little-endian number; a weight record:
# record SCOPE NAME DTYPE BYTES VALUES(printf) DIMENSION...
le32() {
  # shellcheck disable=SC2059
  printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $(($1 & 255)) $((($1 >> 8) & 255)) $((($1 >> 16) & 255)) $((($1 >> 24) & 255)))"
}
record() {
  scope=$1 name=$2 dtype=$3 bytes=$4 values=$5
  shift 5
  le32 ${#scope}
  le32 ${#name}
  le32 ${#dtype}
  le32 $#
  le32 "$bytes"
  printf %s "$scope$name$dtype"
  for dimension; do le32 "$dimension"; done
  # shellcheck disable=SC2059
  printf "$values"
}

# ---- Jobs
head='{"name":"j","dialect":"alphafold3","version":4,"modelSeeds":[1],"sequences":['
msa='"unpairedMsa":"","pairedMsa":""'
job() { printf '%s%s]}\n' "$head" "$2" >"in/$1"; }
featurise() { "$program" featurise --json_path="in/$1" --output=out/f.npz; }
job_case() {  # job_case FILE WORD: in/FILE is refused
  check 2 "in/$1" "$2" featurise "$1"
}

job_case absent.json 'No such file'
check 2 'in' 'directory' featurise ''
: >in/empty.json
job_case empty.json 'empty'
head -c 5000 "$program" >in/binary.json
job_case binary.json 'JSON'
printf '%s' "$head" >in/cut.json
job_case cut.json 'JSON'
printf '[%s{"protein":{"id":"A","sequence":"A"}}]}]' "$head" >in/server.json
job_case server.json "dialect"
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "[" }' >in/deep.json
job_case deep.json 'depth'
printf '{"name":"j","dialect":"alphafold3","version":9}' >in/version.json
job_case version.json 'version'
printf '{"name":"j","dialect":"alphafold3","version":1,"modelSeeds":[-1]}' >in/seed.json
job_case seed.json 'modelSeeds[0]'
job nothing.json ''
job_case nothing.json 'sequences: is empty'
job twice.json '{"ligand":{"id":"A","ccdCodes":["MG"]}},{"ligand":{"id":"A","ccdCodes":["MG"]}}'
job_case twice.json 'ligand A: id'
job digit.json '{"protein":{"id":"A","sequence":"AC1"}}'
job_case digit.json 'protein A: sequence'
job key.json '{"protein":{"id":"A","sequence":"AC","msa":""}}'
job_case key.json 'protein A: msa'
job smiles.json '{"ligand":{"id":"L","smiles":"C(C"}}'
job_case smiles.json "C(C"
printf '%s{"ligand":{"id":"A","ccdCodes":["MG"]}}],"bondedAtomPairs":[[["A",1,"MG"],["A",2,"MG"]]]}' "$head" >in/bonds.json
job_case bonds.json 'bondedAtomPairs'
printf '%s{"ligand":{"id":"A","ccdCodes":["MG"]}}],"userCCD":"data_X"}' "$head" >in/user.json
job_case user.json 'userCCD'
job unset.json '{"protein":{"id":"A","sequence":"AC"}}'
job_case unset.json 'unpairedMsa'
job half.json '{"protein":{"id":"A","sequence":"AC","unpairedMsa":"","templates":[]}}'
job_case half.json 'pairedMsa'
job rna.json '{"rna":{"id":"R","sequence":"AC"}}'
job_case rna.json 'unpairedMsa'
job row.json '{"protein":{"id":"A","sequence":"ACDEF","unpairedMsa":">q\nADDEF","pairedMsa":"","templates":[]}}'
job_case row.json 'protein A: unpairedMsa'
# The reference reads no MSA of chains of up to four residues.
job ragged.json '{"protein":{"id":"A","sequence":"ACDEF","unpairedMsa":">q\nACDEF\n>x\nACD","pairedMsa":"","templates":[]}}'
job_case ragged.json 'unpairedMsa'
job letter.json '{"protein":{"id":"A","sequence":"ACDEF","unpairedMsa":">q\nACDEF\n>x\nAC1EF","pairedMsa":"","templates":[]}}'
job_case letter.json 'unpairedMsa'
job path.json '{"protein":{"id":"A","sequence":"AC","unpairedMsaPath":"gone.a3m","pairedMsa":"","templates":[]}}'
job_case path.json 'gone.a3m'
printf '\037\213\010\000\000' >in/cut.a3m.gz
job gzip.json '{"protein":{"id":"A","sequence":"AC","unpairedMsaPath":"cut.a3m.gz","pairedMsa":"","templates":[]}}'
job_case gzip.json 'cut.a3m.gz'
job code.json '{"ligand":{"id":"L","ccdCodes":["NOSUCH"]}}'
job_case code.json 'NOSUCH'
job longcode.json '{"ligand":{"id":"L","ccdCodes":["'"$(awk 'BEGIN { for (i = 0; i < 5000; i++) printf "X" }')"'"]}}'
job_case longcode.json 'component'
job modification.json '{"protein":{"id":"A","sequence":"AC","modifications":[{"ptmType":"NOSUCH","ptmPosition":1}],'"$msa"',"templates":[]}}'
job_case modification.json 'NOSUCH'
job good.json '{"protein":{"id":"A","sequence":"ACDEFGHIK",'"$msa"',"templates":[]}}'
check 2 '--json_path' 'not given' "$program" featurise --output=out/f.npz
check 2 '--output' 'not given' "$program" featurise --json_path=in/good.json
check 2 '--buckets' 'too small' "$program" featurise --json_path=in/good.json --output=out/f.npz --buckets=0
check 2 '--max_template_date' 'date' "$program" featurise --json_path=in/good.json --output=out/f.npz --max_template_date=x
check 2 '--otuput' 'did you mean --output' "$program" featurise --json_path=in/good.json --otuput=out/f.npz

# ---- Templates
indices='"queryIndices":[0,1],"templateIndices":[0,1]'
template() {  # template FILE WORD [INDICES]: the template in/FILE.cif is refused
  job "$1.json" '{"protein":{"id":"A","sequence":"ACDEFGHIK",'"$msa"',"templates":[{"mmcifPath":"'"$1"'.cif",'"${3:-$indices}"'}]}}'
  job_case "$1.json" "$2"
}
good=$root/examples/5tgy/template_5y2e.cif
if [ ! -f "$build/libnativefold_rdkit.so" ] || [ ! -f "$good" ]; then
  echo "  SKIP: template cases need RDKit and the example 5TGY"
  skipped=$((skipped + 1))
else
  : >in/empty.cif
  template empty 'templates[0].mmcifPath'
  head -c 3000 "$program" >in/binary.cif
  template binary 'templates[0].mmcifPath'
  printf 'hello world\n' >in/prose.cif
  template prose 'template 1'
  printf 'data_x\n#\n' >in/bare.cif
  template bare 'template 1'
  head -c 2500 "$good" >in/cut.cif
  template cut 'template 1'
  size=$(wc -c <"$good")
  head -c $((size - 40)) "$good" >in/row.cif
  template row 'template 1'
  grep -v revision_date "$good" >in/undated.cif
  template undated 'template 1'
  cp "$good" in/index.cif
  template index 'templateIndices' '"queryIndices":[0,1],"templateIndices":[0,99999]'
  awk '/^ATOM/ && !done { $11 = "nan"; done = 1 } { print }' "$good" >in/nan.cif
  template nan 'template 1'
  awk '/^ATOM/ && !done { $11 = "1e999"; done = 1 } { print }' "$good" >in/huge.cif
  template huge 'template 1'
  awk '/^ATOM/ && !done { $11 = "abc"; done = 1 } { print }' "$good" >in/word.cif
  template word 'template 1'
fi

# ---- Weights
info() { "$program" weights info "in/$1"; }
weights_case() {
  check 2 "in/$1" "$2" info "$1"
}
one='\000\000\200\077' nan='\000\000\300\177' infinity='\000\000\200\177'
weights_case absent.bin 'no such'
: >in/empty.bin
weights_case empty.bin 'empty'
head -c 3000 "$program" >in/rubbish.bin
weights_case rubbish.bin 'record 1'
printf 'abc' >in/short.bin
weights_case short.bin 'cut short'
record s w float32 8 "$one$one" 2 >in/good.bin
head -c 25 in/good.bin >in/name.bin
weights_case name.bin 'cut short'
head -c 40 in/good.bin >in/values.bin
weights_case values.bin 'cut short'
cat in/good.bin in/good.bin >in/twice.bin
weights_case twice.bin 's/w: is there twice'
record s w float64 8 "$one$one" 1 >in/dtype.bin
weights_case dtype.bin 's/w: dtype'
record s w float32 8 "$one$nan" 2 >in/nan.bin
weights_case nan.bin 's/w: value 1'
record s w float32 8 "$infinity$one" 2 >in/infinite.bin
weights_case infinite.bin 's/w: value 0'
record s w bfloat16 4 '\200\077\300\177' 2 >in/bfloat.bin
weights_case bfloat.bin 's/w: value 1'
record s w float32 8 "$one$one" 3 >in/bytes.bin
weights_case bytes.bin 's/w: holds 8 bytes'
record s w float32 8 "$one$one" -2 >in/negative.bin
weights_case negative.bin 's/w: its shape'
record s w float32 8 "$one$one" 0 >in/zero.bin
weights_case zero.bin 's/w: its shape'
record s w float32 8 "$one$one" 2147483647 2147483647 2147483647 >in/huge.bin
weights_case huge.bin 's/w: its shape'
{ le32 2000000000; le32 1; le32 7; le32 1; le32 8; } >in/names.bin
weights_case names.bin 'record 1'
{ le32 1; le32 1; le32 7; le32 1000000; le32 8; } >in/dimensions.bin
weights_case dimensions.bin 'record 1'
printf 'not compressed at all' >in/plain.bin.zst
weights_case plain.bin.zst 'zstd'
printf '\050\265\057\375\044' >in/cut.bin.zst
weights_case cut.bin.zst 'zstd'
printf 'rubbish' >in/rubbish.nfw
weights_case rubbish.nfw 'mappable'
: >in/empty.nfw
weights_case empty.nfw 'mappable'
printf 'x' >in/weights.txt
weights_case weights.txt 'weights file'
mkdir in/none in/gap in/several
weights_case none 'no weights file'
cp in/good.bin in/gap/af3.bin.zst.0
cp in/good.bin in/gap/af3.bin.zst.2
weights_case gap 'missing'
cp in/good.bin in/several/one.bin
cp in/good.bin in/several/two.bin
weights_case several 'several'

# Weights of a whole model that lack something, and jobs that ask for them.
tiny=$root/data/manifest_tiny.tsv
predict() { "$program" predict --json_path=in/good.json --model_dir="in/$1" --output_dir=out --norun_data_pipeline --device=cpu; }
model() {  # model NAME AWK: in/NAME holds the tiny model, its manifest changed by the awk program
  mkdir -p "in/$1"
  awk -F '\t' -v OFS='\t' "$2" "$tiny" >manifest.tsv
  "$program" weights random --manifest manifest.tsv --output "in/$1/model.bin" >stdout 2>stderr || cat stderr
  info "$1" >stdout 2>stderr || cat stderr  # so that the mappable copy is there already
}
check 2 'in/absent' 'no such' predict absent
check 2 'in/none' 'no weights file' predict none
model lacking '!/single_activations|evoformer\/left_single\// || NR == 1'
check 2 'in/lacking' 'left_single' predict lacking
model shape '{ if ($1 ~ /evoformer\/left_single\/weights$/) $3 = $3 ",2"; print }'
check 2 'in/shape' 'left_single' predict shape
model narrow '{ if ($1 ~ /evoformer\/left_single\/weights$/) sub(/[0-9]+$/, "7", $3); print }'
check 2 'in/narrow' 'has shape' predict narrow
manifest() {  # manifest FILE WORD: in/FILE is no manifest
  check 2 "in/$1" "$2" "$program" weights random --manifest "in/$1" --output out/w.bin
}
manifest absent.tsv 'No such file'
: >in/empty.tsv
manifest empty.tsv 'records'
head -c 3000 "$program" >in/binary.tsv
manifest binary.tsv 'text'
printf 'name\tdtype\tscale\toffset\ns/w\tfloat32\t1\t0\n' >in/column.tsv
manifest column.tsv 'shape'
printf 'name\tdtype\tshape\tscale\toffset\ns/w\tfloat32\t0\t1\t0\n' >in/zero.tsv
manifest zero.tsv 'line 2: shape'
printf 'name\tdtype\tshape\tscale\toffset\ns/w\tfloat32\t99999,99999,99999\t1\t0\n' >in/huge.tsv
manifest huge.tsv 'line 2: shape'
printf 'name\tdtype\tshape\tscale\toffset\ns/w\tfloat32\t2\tnan\t0\n' >in/nan.tsv
manifest nan.tsv 'line 2: scale'
check 2 'weights info' 'name one' "$program" weights info
info good.bin >stdout 2>stderr || cat stderr
check 2 'out/w.txt' '.nfw' "$program" weights convert in/good.bin out/w.txt

# ---- The component dictionary
build_ccd() { "$program" ccd build "in/$1" --output out/ccd.bin; }
ccd_case() {
  check 2 "in/$1" "$2" build_ccd "$1"
}
component() {  # component ATOM_ROWS BOND_ROWS: the dictionary's block of a made-up XYZ
  printf 'data_XYZ\n_chem_comp.id XYZ\n_chem_comp.name x\n_chem_comp.type NON-POLYMER\n_chem_comp.formula "C2"\n'
  printf '_chem_comp.formula_weight 24.0\n_chem_comp.mon_nstd_parent_comp_id ?\n_chem_comp.pdbx_synonyms ?\n'
  printf '_chem_comp.one_letter_code ?\n_chem_comp.pdbx_initial_date 2000-01-01\n_chem_comp.pdbx_modified_date 2000-01-01\n'
  printf 'loop_\n'
  for item in comp_id atom_id type_symbol charge pdbx_leaving_atom_flag pdbx_stereo_config model_Cartn_x model_Cartn_y \
    model_Cartn_z pdbx_model_Cartn_x_ideal pdbx_model_Cartn_y_ideal pdbx_model_Cartn_z_ideal; do
    printf '_chem_comp_atom.%s\n' $item
  done
  printf '%s\n' "$1"
  printf 'loop_\n'
  for item in comp_id atom_id_1 atom_id_2 value_order pdbx_aromatic_flag pdbx_stereo_config; do
    printf '_chem_comp_bond.%s\n' $item
  done
  printf '%s\n' "$2"
}
atoms='XYZ C1 C 0 N N 0 0 0 0 0 0
XYZ C2 C 0 N N 1.5 0 0 1.5 0 0'
bond='XYZ C1 C2 SING N N'
component "$atoms" "$bond" >in/good.cif
if [ -z "$only" ] && ! build_ccd good.cif >stdout 2>stderr; then
  echo "  FAIL the dictionary that is whole is refused"
  cat stderr
  failed=$((failed + 1))
fi
ccd_case gone.cif 'No such file'
: >in/nothing.cif
ccd_case nothing.cif 'empty'
head -c 3000 "$program" >in/binary_ccd.cif
ccd_case binary_ccd.cif 'in/binary_ccd.cif'
printf 'hello\n' >in/hello.cif
ccd_case hello.cif 'line 1'
printf '\037\213\010\000\000\000' >in/cut.cif.gz
ccd_case cut.cif.gz 'gzip'
component "$atoms" 'XYZ C1 C2 SING N' >in/rows.cif
ccd_case rows.cif 'loop'
{ component "$atoms" "$bond"; printf '_x "open\n'; } >in/quote.cif
ccd_case quote.cif 'line'
{ component "$atoms" "$bond"; printf '_x\n;open\n'; } >in/text.cif
ccd_case text.cif 'line'
component "$atoms" 'XYZ C1 C9 SING N N' >in/bond.cif
ccd_case bond.cif 'component XYZ'
component "$atoms" 'XYZ C1 C2 HALF N N' >in/order.cif
ccd_case order.cif 'value_order'
component 'XYZ C1 C x N N 0 0 0 0 0 0
XYZ C2 C 0 N N 1.5 0 0 1.5 0 0' "$bond" >in/charge.cif
ccd_case charge.cif 'charge'
component 'XYZ C1 C 0 N N 0 0 0 nan 0 0
XYZ C2 C 0 N N 1.5 0 0 1.5 0 0' "$bond" >in/coordinate.cif
ccd_case coordinate.cif 'Cartn_x_ideal'
component 'XYZ C1 C 0 N N 0 0 0 0 0 1e99
XYZ C2 C 0 N N 1.5 0 0 1.5 0 0' "$bond" >in/far.cif
ccd_case far.cif 'Cartn_z_ideal'
component 'XYZ C1 C 0 N N 0 0 0 0 0 0
XYZ C1 C 0 N N 1.5 0 0 1.5 0 0' "$bond" >in/atoms.cif
ccd_case atoms.cif 'C1'
{ component "$atoms" "$bond"; component "$atoms" "$bond"; } >in/double.cif
ccd_case double.cif 'XYZ'
printf 'QQQ\n' >in/codes.txt
check 2 'in/good.cif' 'QQQ' "$program" ccd build in/good.cif --codes in/codes.txt --output out/ccd.bin
: >in/codeless.txt
check 2 'in/codeless.txt' 'code' "$program" ccd build in/good.cif --codes in/codeless.txt --output out/ccd.bin
check 2 'ccd build' 'name one file' "$program" ccd build
check 2 'NOSUCH' 'components.cif' "$program" ccd show NOSUCH
show() { "$program" ccd show XYZ --ccd "in/$1"; }
: >in/empty.ccd
check 2 'in/empty.ccd' 'nativefold ccd build' show empty.ccd
head -c 100000 "$program" >in/rubbish.ccd
check 2 'in/rubbish.ccd' 'nativefold ccd build' show rubbish.ccd
check 2 'in/gone.ccd' 'No such file' show gone.ccd
rm -rf out
mkdir out
if build_ccd good.cif >stdout 2>stderr; then
  head -c $(($(wc -c <out/ccd.bin) - 8)) out/ccd.bin >in/cut.ccd
  check 2 'in/cut.ccd' 'nativefold ccd build' show cut.ccd
fi

# ---- Structures and feature files
compare() { "$program" compare --reference "in/$1" "in/$2"; }
printf 'data_x\nloop_\n_atom_site.label_asym_id\n_atom_site.label_atom_id\nA CA\n' >in/few.cif
check 2 'in/few.cif' '_atom_site' compare few.cif few.cif
check 2 'in/gone.pdb' 'No such file' compare gone.pdb few.cif
printf 'HEADER\n' >in/bare.pdb
check 2 'in/bare.pdb' 'no atoms' compare bare.pdb few.cif
printf 'ATOM      1  CA  ALA A   1      11.1x4  13.207   2.100\n' >in/word.pdb
check 2 'in/word.pdb' 'ATOM' compare word.pdb few.cif
fold() { "$program" fold --features="in/$1" --model_dir=in/tiny --output_dir=out --device=cpu; }
notes=6  # the model is opened, and says so, before the features
model tiny '{ print }'
check 2 'in/gone.npz' 'feature file' fold gone.npz
: >in/empty.npz
check 2 'in/empty.npz' 'in/empty.npz' fold empty.npz
head -c 3000 "$program" >in/binary.npz
check 2 'in/binary.npz' 'zip' fold binary.npz
if [ -f "$build/libnativefold_rdkit.so" ] && "$program" featurise --json_path=in/good.json --output=good.npz >stdout 2>stderr; then
  head -c $(($(wc -c <good.npz) / 2)) good.npz >in/cut.npz
  check 2 'in/cut.npz' 'zip' fold cut.npz
  # One byte of a member's data changed: its checksum tells.
  cp good.npz in/flipped.npz
  printf '\377\377\377\377' | dd of=in/flipped.npz bs=1 seek=$(($(wc -c <good.npz) / 3)) conv=notrunc 2>dd.log
  check 2 'in/flipped.npz' 'damaged' fold flipped.npz
else
  echo "  SKIP: feature files are not made here"
  skipped=$((skipped + 1))
fi

# ---- Results that cannot be written
full() {  # with a limit on the size of files, as if the disk were full
  (trap '' XFSZ && ulimit -f 1 && exec "$@")
}
notes=0
check 1 'out/w.bin' 'cannot be written' full "$program" weights random --manifest "$tiny" --output out/w.bin
check 1 'out/gone/w.bin' 'cannot be written' "$program" weights random --manifest "$tiny" --output out/gone/w.bin
for letter in A B C D E F G H I J K L M N O P Q R S T; do
  component "$atoms" "$bond" | sed "s/XYZ/XY$letter/"
done >in/many.cif
check 1 'out/ccd.bin' 'cannot be written' full "$program" ccd build in/many.cif --output out/ccd.bin
check 1 'out/gone/ccd.bin' 'cannot be written' "$program" ccd build in/good.cif --output out/gone/ccd.bin
if [ -c /dev/full ]; then
  check 1 '/dev/full' 'No space left' "$program" ccd build in/good.cif --output /dev/full
  check 1 'ccd show' 'cannot be written' sh -c 'exec "$0" ccd show HEM >/dev/full' "$program"
fi
if [ -f "$build/libnativefold_rdkit.so" ]; then
  notes=6
  check 1 'out/f.npz' 'cannot be written' full "$program" featurise --json_path=in/good.json --output=out/f.npz
  if [ -c /dev/full ]; then
    check 1 '/dev/full' 'cannot be written' "$program" featurise --json_path=in/good.json --output=/dev/full
  fi
  check 1 'out/gone/f.npz' 'cannot be written' "$program" featurise --json_path=in/good.json --output=out/gone/f.npz
fi
# The whole way, which leaves its files; then on a disk that fills up on the way, which leaves whole files only.
fold_all() {
  "$program" predict --json_path=in/good.json --model_dir=in/tiny --output_dir=out --norun_data_pipeline --device=cpu \
    --num_recycles=1 --diffusion_steps=1 --num_diffusion_samples=1
}
if [ -z "$only" ] && [ -f "$build/libnativefold_rdkit.so" ]; then
  rm -rf out
  if fold_all >stdout 2>stderr && [ -s out/j/j_model.cif ]; then
    passed=$((passed + 1))
  else
    echo "  FAIL the good job is not folded"
    cat stderr
    failed=$((failed + 1))
  fi
  rm -rf out
  (trap '' XFSZ && ulimit -f 8 && fold_all) >stdout 2>stderr
  got=$?
  if [ $got -eq 1 ] && grep -q '^nativefold: out/j.*model.cif: cannot be written' stderr &&
    [ -z "$(find out -name '*.tmp*' -o -name '*model.cif')" ]; then
    passed=$((passed + 1))
  else
    echo "  FAIL a disk that fills up while results are written: exit code $got"
    cat stderr
    find out
    failed=$((failed + 1))
  fi
fi
# What can be said before the network runs is said before the model is opened.
if [ -f "$build/libnativefold_rdkit.so" ]; then
  notes=0
  fold_job() { "$program" predict --json_path="in/$1" --model_dir=in/none --output_dir=out/o --norun_data_pipeline; }
  check 2 'in/smiles.json' 'C(C' fold_job smiles.json
  check 2 'in/code.json' 'NOSUCH' fold_job code.json
  check 2 'in/user.json' 'userCCD' fold_job user.json
  check 2 'in/bonds.json' 'bondedAtomPairs' fold_job bonds.json
fi
check 2 '--output_format' 'neither cif nor' "$program" predict --json_path=in/good.json --output_dir=out --output_format=pdb
check 2 'v100' 'no card' "$program" plan --json_path=in/good.json --model_dir=in/tiny --gpu=v100
: >in/file
check 1 'in/file' 'directory' "$program" predict --json_path=in/good.json --model_dir=in/tiny --output_dir=in/file/out --norun_data_pipeline --device=cpu
finish
