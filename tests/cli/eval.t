#!/bin/sh
# adtool eval, held against what adtool score prints.
. "${0%/*}/lib.sh"

draw d --train 24 --normal 8 --each 2 --size 64
good=d/test/normal
bad=d/test/anomalous
adtool train -q --alpha 0.1 d/train/normal || exit 1

expect_filter() { sed -e 's/[0-9][0-9]*\.[0-9e-]*/X/g' -e '/^normal\|^anomalous/s/[0-9]/N/g' -e 's/^\([a-z]*  *\)2\(  *\)[0-2] /\12\2N /'; }
run_expect table 0 adtool eval --normal $good --anomalous $bad --masks d/masks
expect_filter() { cat; }

# The same figures from the rows, by definition.
run adtool eval --normal $good --anomalous $bad --format json
exits 'json' 0
err_is 'json: stderr is empty' ''
cp "$OUT" eval.json
value() { sed -n "s/^ *\"$1\": \([^,]*\),*\$/\1/p" eval.json; }
adtool score $good | sed 's/^/0	/' >rows
adtool score $bad | sed 's/^/1	/' >>rows
auroc=$(awk -F '\t' '{ y[NR] = $1; s[NR] = $3 } END {
	for (i = 1; i <= NR; i++) for (j = 1; j <= NR; j++) if (y[i] && !y[j]) {
		pairs++; good += s[i] > s[j] ? 1 : s[i] == s[j] ? 0.5 : 0 }
	printf "%.10f\n", good / pairs }' rows)
is 'AUROC is the share of pairs in the right order' "$(printf '%.10f' "$(value auroc)")" "$auroc"
ap=$(sort -t "$(printf '\t')" -k 3,3gr rows | awk -F '\t' '{ n++; if ($1) { tp++; sum += tp / n } } END { printf "%.10f\n", sum / tp }')
is 'average precision is the mean of the precisions at each anomaly' "$(printf '%.10f' "$(value average_precision)")" "$ap"
fpr=$(awk -F '\t' '$1 { if (!n++ || $3 < low) low = $3 } { y[NR] = $1; s[NR] = $3 } END {
	for (i = 1; i <= NR; i++) if (!y[i]) { all++; above += s[i] >= low } printf "%.10f\n", above / all }' rows)
is 'FPR at TPR 1' "$(printf '%.10f' "$(value fpr_at_tpr_1)")" "$fpr"
confusion=$(awk -F '\t' '{ c[$1 $5]++ } END { printf "%d %d %d %d\n", c["1anomalous"], c["0anomalous"], c["0normal"], c["1normal"] }' rows)
is 'the confusion at the threshold is that of the verdicts' \
	"$(sed -n 's/.*"confusion": {[^0-9]*\([0-9]*\)[^0-9]*\([0-9]*\)[^0-9]*\([0-9]*\)[^0-9]*\([0-9]*\).*/\1 \2 \3 \4/p' eval.json)" \
	"$confusion"
is 'a group for each folder' "$(sed -n 's/.*"name": "\([a-z]*\)", "pictures": 2,.*/\1/p' eval.json | sort)" "$(ls $bad)"
if have_numpy; then
	ok 'it is JSON' "$PYTHON" -m json.tool eval.json
	run adtool eval --normal $good --anomalous $bad --masks d/masks --format json
	cp "$OUT" masks.json
	ok 'it is JSON, with masks' "$PYTHON" -m json.tool masks.json
else
	skip 2 'needs a Python with NumPy'
fi

# Inputs in other forms.
for j in 1 4; do
	run adtool eval -j $j --normal $good --anomalous $bad --format json
	same "-j $j gives the same bytes" "$OUT" eval.json
done
run adtool eval --format json --anomalous $bad/* --normal $good/000.png $good/001.png --normal $good/00[2-7].png
exits 'several inputs, behind one option and several' 0
is 'several inputs: all are counted' "$(grep -c '"name"' "$OUT")" 7
is 'several inputs: the same result' "$(grep auroc\" "$OUT" | head -n 1)" "$(grep auroc\" eval.json | head -n 1)"
tar -C d/test -cf bad.tar anomalous
run adtool eval --format json --normal $good --anomalous bad.tar
is 'an archive: the same result' "$(grep auroc\" "$OUT" | head -n 1)" "$(grep auroc\" eval.json | head -n 1)"
run adtool eval --alpha 0.1 --train d/train/normal --normal $good --anomalous $bad --format json
exits 'train and evaluate in one step' 0
same 'train and evaluate in one step: the same' "$OUT" eval.json

# Masks.
pixel() { sed -n 's/.*"pixel": {"auroc": \([0-9.e-]*\),.*"masks": \([0-9]*\), "without_mask": \([0-9]*\).*/\1 \2 \3/p' "$OUT"; }
run adtool eval --normal $good --anomalous $bad --masks d/masks --format json
exits 'masks' 0
all=$(pixel)
is 'masks: all are used' "${all#* }" '14 0'
num 'masks: pixel AUROC' "${all%% *}" '>' 0.6
run adtool eval --normal $good --anomalous $bad/* --masks d/masks --format json
is 'masks are found from the folders below, too' "$(pixel)" "$all"
mkdir flat
cp d/masks/scratch/* flat/
run adtool eval --normal $good --anomalous $bad/scratch --masks flat --format json
exits 'masks without folders' 0
run adtool eval --normal $good --anomalous $bad/scratch --masks d/masks/scratch --format json
is 'masks of one folder' "$(pixel | cut -d ' ' -f 2-)" '2 0'
cp -r d/masks fewer
rm fewer/crack/001.png
"$BUILD/tests/tools/make_png" 32 64 fewer/stain/000.png
run adtool eval --normal $good --anomalous $bad --masks fewer --format json
exits 'masks that are missing or do not fit: status 2' 2
err_is 'masks that are missing or do not fit are named' "adtool: $bad/crack/001.png: no mask in fewer
adtool: fewer/stain/000.png: the mask is 32x64, the picture 64x64"
is 'masks that are missing or do not fit: the others count' "$(pixel | cut -d ' ' -f 2-)" '12 2'
mkdir mvtec
for m in d/masks/dent/*.png; do
	n=${m##*/}
	cp "$m" "mvtec/${n%.png}_mask.png"
done
run adtool eval --normal $good --anomalous $bad/dent --masks mvtec --format json
is 'masks called NAME_mask.png' "$(pixel | cut -d ' ' -f 2-)" '2 0'
run_expect masks-gone 128 adtool eval --normal $good --anomalous $bad --masks gone
adtool train -q --method ppca -o ppca.zip d/train/normal
run_expect masks-ppca 128 adtool eval -m ppca.zip --normal $good --anomalous $bad --masks d/masks

# A set with nothing in it.
mkdir empty
run_expect no-anomalies 128 adtool eval --normal $good --anomalous empty
run_expect no-normals 128 adtool eval --normal empty --anomalous $bad
run adtool eval --normal gone --anomalous $bad
exits 'a set that is not there' 128
err_like 'a set that is not there: named' '^adtool: gone: .*No such file'

# Bad pictures are left out, and said.
cp -r $good mixed
echo text >mixed/003a.png
run adtool eval --normal mixed --anomalous $bad --format json
exits 'a bad picture: status 2' 2
err_like 'a bad picture is named' '^adtool: mixed/003a\.png: .'
is 'a bad picture: counted' "$(sed -n 's/^ *"errors": \([0-9]*\),/\1/p' "$OUT")" 1
is 'a bad picture: the same result' "$(grep auroc\" "$OUT" | head -n 1)" "$(grep auroc\" eval.json | head -n 1)"
done_testing
