"""Hashes of the features that AlphaFold 3 makes of these jobs: python hash.py > hashes.json

Needs the alphafold3 package, whose components file must be the one README.md names. For every array but ref_pos, which
depends on the version of RDKit: the SHA-256 of its bytes. A job NAME_fix.json is featurised with
--fix_standalone_glycans.
"""

import datetime
import hashlib
import json
import pathlib
import sys

from alphafold3.common import folding_input
from alphafold3.constants import chemical_components
from alphafold3.data import featurisation
from alphafold3.structure import chemical_components as structure_components
from alphafold3.structure import parsing
import numpy as np


def main():
  components = chemical_components.Ccd()
  untouched = dict(components._dict)
  result = {}
  for path in sorted(pathlib.Path(__file__).parent.glob('*.json')):
    if path.name == 'hashes.json':
      continue
    (job,) = folding_input.load_fold_inputs_from_path(path)
    # AlphaFold 3 leaves a job's own components in what it has cached: each job is to begin without them.
    components._dict.clear()
    components._dict.update(untouched)
    for cached in (
        chemical_components.component_name_to_info,
        structure_components.get_res_atom_names,
        parsing._get_first_non_leaving_atom,
    ):
      cached.cache_clear()
    (batch, *_) = featurisation.featurise_input(
        fold_input=job,
        buckets=None,
        ccd=chemical_components.Ccd(user_ccd=job.user_ccd),
        verbose=False,
        ref_max_modified_date=datetime.date(2021, 9, 30),
        conformer_max_iterations=None,
        resolve_msa_overlaps=True,
        fix_standalone_glycans=path.stem.endswith('_fix'),
    )
    result[path.stem] = {
        key: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        for key, value in batch.items()
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object and key != 'ref_pos'
    }
  json.dump(result, sys.stdout, indent=1)
  print()


if __name__ == '__main__':
  main()
