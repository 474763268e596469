# Makes a manifest for `nativefold weights random`:
#   awk -f tools/manifest.awk -v config="c_z=512 h_pair=8 n_pairformer=2" tools/schema.tsv > data/manifest_wide.tsv
# Letters that config does not name have AlphaFold 3's values. Weights are uniform within half of sqrt(3 / fan_in), layer
# norm scales within 0.1 of 1, biases and offsets within 0.1 of 0. -v published=1 keeps the published dtypes, else float32.
BEGIN {
  FS = OFS = "\t"
  defaults = "c_s=384 c_z=128 c_m=64 c_t=64 c_outer=32 h_pair=4 h_single=16 h_msa=8 h_t=4 f_pair=4 f_single=4 f_msa=4 f_t=2" \
    " n_pairformer=48 n_msa=4 n_template=2 n_confidence=4 c_atom=128 c_atompair=16 n_atom=3 h_atom=4" \
    " n_super=6 n_inner=4 c_token=768 h_token=16 c_ds=384 c_dz=128 c_datom=128 n_datom=3"
  read_config(defaults)
  read_config(config)
  # Channels of a head follow from the widths; attention over pairs never takes fewer than 16.
  head_channels("d_pair", value["c_z"] / value["h_pair"], 16)
  head_channels("d_t", value["c_t"] / value["h_t"], 16)
  head_channels("d_single", value["c_s"] / value["h_single"], 1)
  head_channels("d_msa", value["c_m"] / value["h_msa"], 1)
  head_channels("d_token", value["c_token"] / value["h_token"], 1)
  head_channels("d_atom", value["c_atom"] / value["h_atom"], 1)
  head_channels("d_datom", value["c_datom"] / value["h_atom"], 1)
  print "name", "dtype", "shape", "scale", "offset"
}
function read_config(text,    words, n, i, pair) {
  n = split(text, words, /[ \n]+/)
  for (i = 1; i <= n; i++) {
    if (split(words[i], pair, "=") != 2 || pair[2] + 0 < 1) fail("config: \"" words[i] "\" is not like c_z=128")
    if (text == config && !(pair[1] in value)) fail("config: " pair[1] " is no letter of the schema")
    value[pair[1]] = pair[2] + 0
  }
}
function head_channels(name, channels, least) {
  if (channels != int(channels)) fail(name " would be " channels ", not whole: change the heads or the width")
  value[name] = channels < least ? least : channels
}
function fail(message) {
  print "manifest.awk: " message > "/dev/stderr"
  failed = 1
  exit 2
}
# Sums of products of letters and numbers: "2*c_z", "c_s+63".
function evaluate(expression,    terms, factors, n, m, i, k, sum, product) {
  n = split(expression, terms, "+")
  sum = 0
  for (i = 1; i <= n; i++) {
    m = split(terms[i], factors, "*")
    product = 1
    for (k = 1; k <= m; k++) product *= factors[k] in value ? value[factors[k]] : factors[k]
    if (product < 1) fail("\"" expression "\" has a letter without a value")
    sum += product
  }
  return sum
}
/^#/ || $1 == "name" { next }
{
  n = split($3, dims, ",")
  shape = ""
  for (i = 1; i <= n; i++) shape = shape (i > 1 ? "," : "") evaluate(dims[i])
  scale = $4 == "-" ? 0.1 : 0.5 * sqrt(3 / evaluate($4))
  dtype = published || $2 == "uint8" ? $2 : "float32"
  print $1, dtype, shape, dtype == "uint8" ? 0 : sprintf("%.12g", scale), $1 ~ /\/scale$/ ? 1 : 0
}
END { if (failed) exit 2 }
