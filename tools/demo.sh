#!/bin/sh
# The main job from end to end: demo.sh BUILD [full]
set -e
build=$1
nativefold=$build/nativefold
if [ "$2" = full ]; then
  models=$build/models/full
  mkdir -p "$models"
  if [ ! -s "$models/random_full.nfw" ]; then
    echo "== seeded full-size weights (368 M values; they know nothing, the machine is what is shown)"
    "$nativefold" weights random --manifest=data/manifest_full.tsv --output="$models/random_full.nfw"
  fi
  echo "== 5TGY: 109 residues and the ligand 7BU, MSA and templates given, the full-size network"
  "$nativefold" predict --json_path=examples/5tgy/5tgy.json --model_dir="$models" --output_dir="$build/demo_full" \
    --force_output_dir --device=cpu --num_recycles=1 --diffusion_steps=5 --num_diffusion_samples=1
  ls -R "$build/demo_full/5tgy"
  exit 0
fi
echo "== PDB 5I55 chain A, 22 residues, from its bare job file with the demo weights"
"$nativefold" predict --json_path=data/demo/demo_5i55.json --model_dir=data/demo --output_dir="$build/demo" \
  --force_output_dir --device=cpu
ls -R "$build/demo/demo_5i55"
echo "== every sample against the crystal structure (angstrom)"
"$nativefold" compare --reference=data/demo/demo_5i55_reference.pdb --max_ca_rmsd=0.3 \
  "$build"/demo/demo_5i55/seed-*/*_model.cif
