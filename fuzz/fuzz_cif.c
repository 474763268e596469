// libFuzzer: any bytes as CIF; what is read must be writable and read back the same.
#include "formats/cif.h"
#include "fuzz/seeds.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char *const texts[] = {
      "data_a\n_x.a 'b c' _x.d \"e\"\nloop_\n_y.a\n_y.b\n1 .\n? '.'\n;text\n field\n;\n2 # comment\n",
      "\xef\xbb\xbf"
      "data_a\r\nsave_f\r\n_a 1\r\nsave_\r\n_A\r\n;x\r\n;\r\ndata_b loop_ _c _d 1 2 3 4",
  };
  for (int i = 0; i < 2; i++) seeds_add(texts[i], strlen(texts[i]));
  seeds_use(argc, argv);
  return 0;
}

static nf_status visit(void *context, const cif_block *block) {
  *(size_t *)context += (size_t)block->n_columns;
  return NF_OK;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  nf_arena *arena = nf_arena_create();
  cif_file file, again;
  size_t visited = 0, columns = 0;
  nf_status status = cif_parse("fuzz", (const char *)data, size, arena, &file);
  nf_status visiting = cif_visit_blocks("fuzz", (const char *)data, size, visit, &visited);
  if (status != visiting) abort();
  nf_str out = {0};
  for (int b = 0; status == NF_OK && b < file.n_blocks; b++) {
    const cif_block *block = &file.blocks[b];
    columns += (size_t)block->n_columns;
    nf_str_printf(&out, "data_%s\n", block->name);
    for (int c = 0; c < block->n_columns; c++) {
      const cif_column *column = &block->columns[c];
      if (cif_find(block, column->name) != column) abort();
      nf_str_puts(&out, "loop_\n");
      nf_str_puts(&out, column->name);
      nf_str_putc(&out, '\n');
      for (int i = 0; i < column->n_rows; i++) {
        cif_append_value(&out, column->values[i]);
        nf_str_putc(&out, '\n');
      }
    }
  }
  if (status == NF_OK) {
    if (visited != columns || cif_parse("again", out.data, out.length, arena, &again) != NF_OK) abort();
    if (again.n_blocks != file.n_blocks) abort();
    for (int b = 0; b < file.n_blocks; b++) {
      if (again.blocks[b].n_columns != file.blocks[b].n_columns) abort();
      for (int c = 0; c < file.blocks[b].n_columns; c++) {
        if (again.blocks[b].columns[c].n_rows != file.blocks[b].columns[c].n_rows) abort();
      }
    }
  }
  nf_str_free(&out);
  nf_arena_free(arena);
  return 0;
}
