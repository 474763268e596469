"""big_job.py OUT.json: a job of 5,120 tokens with MSAs of 16,384 rows, for timing features. The same on every run; needs numpy."""
import json
import sys

import numpy as np

rng = np.random.default_rng(7)
AMINO_ACIDS = np.frombuffer(b'ACDEFGHIKLMNPQRSTVWY', dtype=np.uint8)
SPECIES = [a + b + c + d + e for a in 'ABCDEFGH' for b in 'ABCDEFGH' for c in 'ABCD' for d in 'ABCD' for e in 'ABCD'][:4000]


def msa(sequence, n, tag, letters=AMINO_ACIDS, paired=False):
  query, length = np.frombuffer(sequence.encode(), dtype=np.uint8), len(sequence)
  rows = [f'>query\n{sequence}\n']
  for i in range(n - 1):
    row, changed = query.copy(), rng.random(length) < 0.5
    row[changed] = letters[rng.integers(0, len(letters), changed.sum())]
    start, end = sorted(rng.integers(0, length, 2))
    if end - start < length // 3: start, end = 0, length
    row[:start] = row[end:] = ord('-')
    text = row.tobytes().decode()
    if i % 3 == 0:
      k = rng.integers(1, length)
      text = text[:k] + 'acd' + text[k:]
    species = SPECIES[rng.integers(len(SPECIES))] if paired else ''
    name = f'tr|{tag}{i:06d}|{tag}{i:06d}_{species}/1-{length}' if paired else f'UniRef90_{tag}{i:06d}/1-{length}'
    rows.append(f'>{name}\n{text}\n')
  return ''.join(rows)


entries = []
for tag, ids, length in (('A', ['A', 'B'], 1200), ('C', ['C', 'D'], 800), ('E', ['E'], 560)):
  sequence = ''.join(map(chr, AMINO_ACIDS[rng.integers(0, 20, length)]))
  entries.append({'protein': {'id': ids, 'sequence': sequence, 'unpairedMsa': msa(sequence, 16384, tag + 'U'),
                              'pairedMsa': msa(sequence, 8192, tag + 'P', paired=True), 'templates': []}})
sequence = ''.join(rng.choice(list('ACGU'), 300))
bases = np.frombuffer(b'ACGU', dtype=np.uint8)
entries.append({'rna': {'id': 'R', 'sequence': sequence, 'unpairedMsa': msa(sequence, 8000, 'R', bases)}})
entries.append({'ligand': {'id': ['L' + c for c in 'ABCDEF'], 'ccdCodes': ['ATP']}})
entries.append({'ligand': {'id': [c + 'Z' for c in 'ABCDEFGHIJKLMN'], 'ccdCodes': ['MG']}})
entries.append({'dna': {'id': 'Z', 'sequence': ''.join(rng.choice(list('ACGT'), 60))}})
job = {'name': 'big', 'modelSeeds': [1], 'dialect': 'alphafold3', 'version': 4, 'sequences': entries}
json.dump(job, open(sys.argv[1], 'w'))
