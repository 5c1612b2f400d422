#!/bin/sh
# adtool train --precision bf16: models whose convolutions multiply bfloat16.
precision=bf16
. "${0%/*}/precision.sh"

run adtool info one.zip
out_like 'info tells of no ranges' '^  precision +bf16$'

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
