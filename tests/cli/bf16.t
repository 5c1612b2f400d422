#!/bin/sh
# adtool train --precision bf16: models whose convolutions multiply bfloat16.
precision=bf16
. "${0%/*}/precision.sh"

run adtool info one.zip
out_like 'info tells of no ranges' '^  precision +bf16$'

# Convolutions that multiply floats are tuned; on another instruction set it is as if they were not.
run adtool train --precision bf16 --tune -o tuned.zip "$good"
exits 'it can be tuned' 0
out_like 'and stays bf16' '^precision +bf16; '
run adtool info tuned.zip
out_like 'info says for which machine' '^tuned +on [a-z0-9]+-[0-9a-f]{16}: this CPU$'
run adtool info --check tuned.zip
exits 'the tuned model is sound' 0
run adtool score -q -j 1 -m tuned.zip d/test
ok 'a tuned model gives about the same scores' scores_near 0.03
cp "$OUT" tuned.tsv
run adtool score -q -j 3 -m tuned.zip d/test
same 'the same rows whatever the threads' "$OUT" tuned.tsv
ADTOOL_ISA=scalar run adtool score -q -m tuned.zip d/test
exits 'a tuned model runs on plain C' 0
ok 'and gives about the same scores' scores_near 0.03
run adtool train -q --precision bf16 --tune --tiles 32x32 --size 224x224 -o tiles.zip "$good"
exits 'with tiles, too' 0

# On the instruction set rows depend a little, as sums that nearly tie are rounded either way.
for isa in avx512 avx2 neon scalar; do
	adtool --version -v | grep -q "^instruction set $isa *can run" || continue
	ADTOOL_ISA=$isa run adtool score -q -m one.zip d/test
	exits "a model runs on $isa" 0
	ok 'scores are the same to 2 %' scores_near 0.02
	ADTOOL_ISA=$isa run adtool train -q --precision bf16 -o isa.zip "$good"
	exits 'one is trained there, too' 0
	run adtool score -q -m isa.zip d/test
	ok 'and gives about the same scores' scores_near 0.05
done
run adtool score -q -m wide.zip d/test
ok 'scores are about those of float32' scores_near 0.05
differs() { ! cmp -s "$1" "$2"; }
ok 'but not the same' differs "$OUT" rows

# A model that says bf16 has no ranges.
if have zip && have unzip; then
	mkdir u && (cd u && unzip -q ../one.zip)
	ok 'it has no ranges' test ! -e u/ranges.npy -a ! -e u/ranges.txt
	run adtool train -q --precision int8 -o int8.zip "$good"
	(cd u && unzip -q -o ../int8.zip ranges.npy && zip -q -0 -r ../more.zip .)
	run adtool info more.zip
	exits 'and may not' 128
	err_like 'which is said' 'ranges\.npy: only int8 models have such a member'
fi
done_testing
