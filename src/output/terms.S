// AlphaFold 3's output terms of use, embedded word for word: data/ALPHAFOLD3_OUTPUT_TERMS_OF_USE.md is
// OUTPUT_TERMS_OF_USE.md of github.com/google-deepmind/alphafold3 at commit c0f97ed (last modified 2024-11-09).
// It is written only beside predictions made with AlphaFold 3's own parameters.
    .section .rodata
    .global output_terms_begin, output_terms_end
    .hidden output_terms_begin
    .hidden output_terms_end
output_terms_begin:
    .incbin "data/ALPHAFOLD3_OUTPUT_TERMS_OF_USE.md"
output_terms_end:
    .section .note.GNU-stack,"",%progbits
