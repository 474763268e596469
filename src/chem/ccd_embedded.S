// The embedded subset of the chemical component dictionary: data/ccd_subset.bin as it is.
        .section .rodata
        .balign 16
        .globl  ccd_embedded_start
        .globl  ccd_embedded_end
        .type   ccd_embedded_start, %object
        .type   ccd_embedded_end, %object
ccd_embedded_start:
        .incbin "data/ccd_subset.bin"
ccd_embedded_end:
        .byte   0
        .size   ccd_embedded_start, ccd_embedded_end - ccd_embedded_start
        .section .note.GNU-stack, "", %progbits
