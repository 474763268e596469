#!/bin/sh
# Remakes the manifests in data/: AlphaFold 3's size; a tiny one for tests, in which no two widths that could be mistaken for
# each other are equal; and one with the widths of IntelliFold-v2 and few blocks.
set -e
cd "$(dirname "$0")/.."
make_manifest() { awk -f tools/manifest.awk -v config="$2" tools/schema.tsv > "data/manifest_$1.tsv"; }
make_manifest full ""
make_manifest tiny "c_s=48 c_z=32 c_m=16 c_t=12 c_outer=6 h_pair=2 h_single=4 h_msa=2 h_t=2 f_pair=2 f_single=2 f_msa=2
  n_pairformer=2 n_msa=2 n_template=1 n_confidence=1 c_atom=24 c_atompair=8 n_atom=1 n_super=1 n_inner=2 c_token=56
  h_token=4 c_ds=40 c_dz=20 c_datom=28 n_datom=1"
make_manifest wide "c_z=512 h_pair=8 c_m=256 c_t=256 h_t=8 c_dz=512 n_pairformer=2 n_msa=1 n_template=1 n_confidence=1
  n_atom=1 n_datom=1 n_super=1 n_inner=2"
