// Manifests, embedded: data/manifest_full.tsv (AlphaFold 3's size) and data/manifest_tiny.tsv as they are.
    .section .rodata
    .global weights_manifest_full, weights_manifest_full_end, weights_manifest_tiny, weights_manifest_tiny_end
    .hidden weights_manifest_full
    .hidden weights_manifest_full_end
    .hidden weights_manifest_tiny
    .hidden weights_manifest_tiny_end
weights_manifest_full:
    .incbin "data/manifest_full.tsv"
weights_manifest_full_end:
weights_manifest_tiny:
    .incbin "data/manifest_tiny.tsv"
weights_manifest_tiny_end:
    .section .note.GNU-stack,"",%progbits
