# What models of every narrow precision have in common; bf16.t and int8.t go on from here. $precision is set. Then there are
# d (the pictures), $good, one.zip (such a model), wide.zip (one of float32) and rows (those of one.zip for d/test).
. "${0%/*}/lib.sh"

draw d --train 14 --normal 4 --each 1 --size 64
good=d/train/normal

run adtool train --precision $precision -j 1 -o one.zip "$good"
exits 'train' 0
out_like 'it says how far features are off' "^precision +$precision; features differ by [0-9.]+ % of their spread from float32\$"
run adtool train -q --precision $precision -j 3 -o three.zip "$good"
same '-j 1 and -j 3 give the same bytes' one.zip three.zip
run adtool info one.zip
out_like 'info says so' "^  precision +$precision(, with the ranges of [0-9]+ channels)?\$"
run adtool info --check one.zip
exits 'the model is sound' 0
run adtool train -q --precision float32 -o wide.zip "$good"
run adtool info wide.zip
out_unlike 'info has nothing to say of float32' 'precision'

# scores_near SHARE: of the last run, each score is that of rows but for such a share.
scores_near() {
	cut -f 2 "$OUT" | paste - rows | awk -v most="$1" '{ d = $1 / $3 - 1; if (d > most || d < -most) bad = 1 }
		END { exit bad || !NR }'
}

run adtool score -q -j 1 -m one.zip d/test
exits 'score' 0
cp "$OUT" rows
run adtool score -q -j 3 -m one.zip d/test
same '-j 1 and -j 3 give the same rows' "$OUT" rows

# What is learned later is computed as before.
other=int8
[ $precision != int8 ] || other=float32
run adtool train -q --precision $precision --keep-stats -o kept.zip "$good"
run adtool train --update kept.zip -o more.zip d/test/normal
exits 'an update' 0
out_like 'says nothing of features that it did not compare' "^precision +$precision\$"
run adtool info more.zip
out_like 'keeps the precision' "^  precision +$precision"
run adtool train -q --update kept.zip --precision $other -o more.zip d/test/normal
exits 'and takes no other' 129
run adtool train -q --from one.zip -o again.zip "$good"
same 'a recipe has it, too' one.zip again.zip
run adtool train -q --from one.zip --precision float32 -o back.zip "$good"
run adtool info back.zip
out_unlike 'unless another is asked for' 'precision'

run adtool train -q --precision $precision --method ppca -o x.zip "$good"
exits 'ppca loses too much' 128
err_like 'which is said, too' "$precision does not go with ppca"
