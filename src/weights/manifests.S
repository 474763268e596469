// The manifest of AlphaFold 3's size, embedded: data/manifest_full.tsv as it is.
    .section .rodata
    .global weights_manifest_full, weights_manifest_full_end
    .hidden weights_manifest_full
    .hidden weights_manifest_full_end
weights_manifest_full:
    .incbin "data/manifest_full.tsv"
weights_manifest_full_end:
    .section .note.GNU-stack,"",%progbits
