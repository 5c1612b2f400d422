#!/bin/sh
# adtool train --precision bf16: models whose convolutions multiply bfloat16.
. "${0%/*}/lib.sh"

draw d --train 14 --normal 4 --each 1 --size 64
good=d/train/normal

run adtool train --precision bf16 -j 1 -o one.zip "$good"
exits 'train' 0
out_like 'it says how far features are off' '^precision +bf16; features differ by [0-9.]+ % of their spread from float32$'
run adtool train -q --precision bf16 -j 3 -o three.zip "$good"
same '-j 1 and -j 3 give the same bytes' one.zip three.zip
run adtool info one.zip
out_like 'info says so' '^  precision +bf16$'
run adtool info --check one.zip
exits 'the model is sound' 0
run adtool train -q -o wide.zip "$good"

# Rows do not depend on threads; on the instruction set a little, as sums that nearly tie are rounded either way.
near() { cut -f 2 "$OUT" | paste - rows | awk -v most="$1" '{ d = $1 / $3 - 1; if (d > most || d < -most) bad = 1 }
	END { exit bad || !NR }'; }
run adtool score -q -j 1 -m one.zip d/test
exits 'score' 0
cp "$OUT" rows
run adtool score -q -j 3 -m one.zip d/test
same '-j 1 and -j 3 give the same rows' "$OUT" rows
for isa in avx512 avx2 neon scalar; do
	adtool --version -v | grep -q "^instruction set $isa *can run" || continue
	ADTOOL_ISA=$isa run adtool score -q -m one.zip d/test
	exits "a model runs on $isa" 0
	ok 'scores are the same to 2 %' near 0.02
	ADTOOL_ISA=$isa run adtool train -q --precision bf16 -o isa.zip "$good"
	exits 'one is trained there, too' 0
	run adtool score -q -m isa.zip d/test
	ok 'and gives about the same scores' near 0.05
done
run adtool score -q -m wide.zip d/test
ok 'scores are about those of float32' near 0.05
differs() { ! cmp -s "$1" "$2"; }
ok 'but not the same' differs "$OUT" rows

# What is learned later is computed as before.
run adtool train -q --precision bf16 --keep-stats -o kept.zip "$good"
run adtool train -q --update kept.zip -o more.zip d/test/normal
exits 'an update' 0
run adtool info more.zip
out_like 'stays bf16' '^  precision +bf16$'
run adtool train -q --update kept.zip --precision int8 -o more.zip d/test/normal
exits 'and takes no other precision' 129
run adtool train -q --from one.zip -o again.zip "$good"
same 'a recipe has it, too' one.zip again.zip
run adtool train -q --from one.zip --precision float32 -o back.zip "$good"
run adtool info back.zip
out_unlike 'unless another is asked for' 'precision'

run adtool train -q --precision bf16 --tune -o x.zip "$good"
exits 'tuning is of floats' 128
err_like 'which is said' 'bf16 does not go with tuning'
run adtool train -q --precision bf16 --method ppca -o x.zip "$good"
err_like 'ppca loses too much' 'bf16 does not go with ppca'
run adtool train -q --precision bf16 --tiles 32x32 -o x.zip "$good"
err_like 'tiles do not go' 'bf16 does not go with tiles'

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
