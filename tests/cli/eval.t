#!/bin/sh
# adtool eval, held against what adtool score prints.
. "${0%/*}/lib.sh"

draw d --train 24 --normal 8 --each 2 --size 64
good=d/test/normal
bad=d/test/anomalous
adtool train -q --alpha 0.1 d/train/normal || exit 1

expect_filter() { sed -e 's/[0-9][0-9]*\.[0-9e-]*/X/g' -e 's/[0-9]* regions/N regions/' -e '/^normal\|^anomalous/s/[0-9]/N/g' -e 's/^\([a-z]*  *\)2\(  *\)[0-2] /\12\2N /'; }
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
"$BUILD/tests/tools/make_png" 100 100 fewer/stain/000.png
run adtool eval --max-pixels 4096 --normal $good --anomalous $bad --masks fewer --format json
err_like 'the limit on pixels is that of masks, too' '^adtool: fewer/stain/000\.png: .*limit of 4096 pixels \(--max-pixels\)$'
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

# Rows: the columns of adtool score, what each picture is, its defect.
run adtool eval --normal mixed --anomalous $bad --rows rows.tsv
exits 'rows: status of a bad picture' 2
is 'rows: one for each picture' "$(wc -l <rows.tsv | tr -d ' ')" 23
{ adtool score mixed; adtool score $bad; } 2>errors >plain.tsv
cut -f 1-4 rows.tsv >columns.tsv
same 'rows: begin as those of adtool score' columns.tsv plain.tsv
is 'rows: the truth' "$(cut -f 5 rows.tsv | sort | uniq -c | tr -s ' \n' ' ')" ' 14 anomalous 9 normal '
is 'rows: the defects' "$(awk -F '\t' '$5 == "anomalous" { print $6 }' rows.tsv | sort -u)" "$(ls $bad)"
run adtool eval --normal $good --anomalous $bad --rows gone/rows.tsv
exits 'rows that cannot be written' 128
err_like 'rows that cannot be written: named' '^adtool: gone/rows\.tsv: '
out_is 'rows that cannot be written: said before the pictures are scored' ''
run adtool eval --normal $good --anomalous $bad --rows rows.tsv/rows.tsv
err_is 'rows below a file' 'adtool: rows.tsv/rows.tsv: cannot write to the folder rows.tsv: Not a directory'
run adtool eval --normal $good --anomalous $bad --masks rows.tsv
exits 'masks that are a file' 128
err_is 'masks that are a file: why' 'adtool: rows.tsv: Not a directory'

# Chosen rates, against counting in the rows.
run adtool eval --normal $good --anomalous $bad --tpr 0.5 --fpr 0.25 0 --format json
exits 'chosen rates' 0
fpr=$(sort -t "$(printf '\t')" -k 3,3gr rows | awk -F '\t' '{ if ($1) tp++; else fp++ } tp == 7 && !found++ { printf "%.10f\n", fp / 8 }')
is 'FPR at a chosen TPR' "$(sed -n 's/.*"tpr": 0.5, "fpr": \([^,]*\),.*/\1/p' "$OUT" | xargs printf '%.10f\n')" "$fpr"
tpr=$(sort -t "$(printf '\t')" -k 3,3gr rows | awk -F '\t' '{ if ($1) tp++; else fp++ } fp <= 2 { most = tp } END { printf "%.10f\n", most / 14 }')
is 'TPR at a chosen FPR' "$(sed -n 's/.*"fpr": 0.25, "tpr": \([^,]*\),.*/\1/p' "$OUT" | xargs printf '%.10f\n')" "$tpr"
for wrong in '--tpr 0' '--tpr 1.5' '--fpr 1' '--fpr x' '--tpr nan' '--bootstrap 1' '--compare model.zip' \
	'--compare model.zip model.zip --rows r' '--folds 1' '--folds 2'; do
	run adtool eval --normal $good --anomalous $bad $wrong
	exits "refused: $wrong" 129
done
run adtool eval --anomalous $bad
err_like 'without normal pictures' "'--normal' is missing"
run adtool eval --anomalous $bad --normal $good -- $good
err_like 'operands without --folds' 'need --folds'

# Intervals.
interval() { sed -n 's/^ *"auroc_interval": \[\(.*\), \(.*\)\],/\1 \2/p' "$OUT"; }
run adtool eval --normal $good --anomalous $bad --format json
low=$(interval | cut -d ' ' -f 1)
num 'the interval is below' "$low" '<' "$(value auroc)"
num 'the interval is above' "$(interval | cut -d ' ' -f 2)" '>=' "$(value auroc)"
run adtool eval --normal $good --anomalous $bad --bootstrap 0 --format json
out_unlike 'without resamples no interval' interval

# Cross-validation: each fold is what train and score make of the same pictures.
run adtool eval --folds 4 d/train/normal --anomalous $bad --masks d/masks --rows folds.tsv --alpha 0.1 --format json
exits 'folds' 0
cp "$OUT" folds.json
is 'folds: every picture once' "$(cut -f 1 folds.tsv | sort -u | wc -l | tr -d ' ')" 38
is 'folds: all masks are used' "$(pixel | cut -d ' ' -f 2-)" '14 0'
awk -F '\t' '$5 == "normal" && $7 != 2 { print $1 }' folds.tsv >learn
awk -F '\t' '$7 == 2 { print $1 }' folds.tsv >measure
is 'folds: each has its share' "$(wc -l <learn | tr -d ' ')" 18
adtool train -q --alpha 0.1 -o fold.zip - <learn
adtool score -m fold.zip - <measure >measured.tsv
awk -F '\t' -v OFS='\t' '$7 == 2 { print $1, $2, $3, $4 }' folds.tsv >fold.tsv
same 'folds: the rows of one are those of train and score' fold.tsv measured.tsv
auroc=$(adtool eval -m fold.zip --normal $(awk -F '\t' '$5 == "normal" && $7 == 2 { print $1 }' folds.tsv) --anomalous $bad --format json |
	sed -n 's/^  "auroc": \(.*\),/\1/p')
is 'folds: the AUROC of one is that of eval' "$(sed -n 's/.*"auroc": \[[^,]*, \([^,]*\),.*/\1/p' folds.json)" "$auroc"
run adtool eval -j 3 --folds 4 d/train/normal --anomalous $bad --masks d/masks --alpha 0.1 --format json
same 'folds: the same bytes whatever the threads' "$OUT" folds.json
run adtool eval --folds 4 d/train/normal --anomalous $bad --seed 9 --format json
isnt 'folds: another seed deals otherwise' "$(sed -n 's/.*"auroc_mean"/&/p' "$OUT")" "$(sed -n 's/.*"auroc_mean"/&/p' folds.json)"
run adtool eval --folds 4 d/train/normal --anomalous $bad --method ppca --components 2
exits 'folds: ppca' 0
out_like 'folds: text' '^AUROC within folds   0\.[0-9]*, standard deviation '

# Groups: 24 pictures of 8 parts, some with more pictures than others; a part is in one fold.
mkdir parts
i=0
for f in d/train/normal/*.png; do
	i=$((i + 1))
	ln "$f" "parts/p$((i * i % 8 + i % 3))_$i.png"
done
groups=$(ls parts | sed 's/_.*//' | sort -u | wc -l | tr -d ' ')
run adtool eval --folds 3 --group-by 'p([0-9]+)_' parts --anomalous $bad --rows grouped.tsv --alpha 0.1
exits 'folds of groups' 0
awk -F '\t' '$5 == "normal" { sub(/_.*/, "", $1); print $1, $7 }' grouped.tsv | sort -u >dealt
is 'folds of groups: each is in one fold' "$(wc -l <dealt | tr -d ' ')" "$groups"
is 'folds of groups: every picture once' "$(cut -f 1 grouped.tsv | sort -u | wc -l | tr -d ' ')" 38
is 'folds of groups: no fold is empty' "$(cut -d ' ' -f 2 dealt | sort -u | tr '\n' ' ')" '1 2 3 '
awk -F '\t' '$5 == "normal" && $7 != 2 { print $1 }' grouped.tsv >learn
awk -F '\t' '$7 == 2 { print $1 }' grouped.tsv >measure
adtool train -q --alpha 0.1 --group-by 'p([0-9]+)_' -o grouped.zip - <learn
adtool score -m grouped.zip - <measure >measured.tsv
awk -F '\t' -v OFS='\t' '$7 == 2 { print $1, $2, $3, $4 }' grouped.tsv >fold.tsv
same 'folds of groups: the rows of one are those of train --group-by and score' fold.tsv measured.tsv
for i in 1 2 3; do
	mkdir -p folders/part$i
	ln parts/*$i.png folders/part$i/
done
run adtool eval --folds 3 --group-by dir folders --anomalous $bad --rows grouped.tsv
exits 'folds of folders' 0
is 'folds of folders: each is one' "$(awk -F '\t' '$5 == "normal" { sub(/\/[^\/]*$/, "", $1); print $1, $7 }' grouped.tsv | sort -u | wc -l | tr -d ' ')" 3
tar -cf folders.tar folders
run adtool eval --folds 3 --group-by dir folders.tar --anomalous $bad --rows packed.tsv
exits 'folds of folders in an archive' 0
is 'folds of folders in an archive: the same scores' "$(cut -f 2,7 packed.tsv)" "$(cut -f 2,7 grouped.tsv)"
run adtool eval --folds 4 --group-by dir folders --anomalous $bad
exits 'more folds than groups' 128
err_is 'more folds than groups: said' 'adtool: eval: 4 folds of 3 groups; each needs one'
run adtool eval --folds 2 --group-by dir $good --anomalous $bad
err_like 'folds of one group: said' 'all 8 pictures are of one group'
run adtool eval --normal $good --anomalous $bad --group-by dir
exits 'groups without a training' 129

run adtool eval --folds 9 $good --anomalous $bad
exits 'more folds than pictures' 128
err_is 'more folds than pictures: said' 'adtool: eval: 9 folds of 8 normal pictures; each needs one, and 3 are needed to train on'
run adtool eval --folds 2 $good --anomalous empty
exits 'folds without anomalies' 128

# Two models.
adtool train -q --grid 2 -o coarse.zip d/train/normal
expect_filter() { sed -e 's/[-+]*[0-9][0-9]*\.[0-9e-]*/X/g' -e 's/B ranks.*\|These pictures.*/VERDICT/'; }
run_expect compare 0 adtool eval --compare model.zip coarse.zip --normal $good --anomalous $bad
expect_filter() { cat; }
run adtool eval --compare model.zip model.zip --normal $good --anomalous $bad --format json
exits 'a model against itself' 0
out_like 'a model against itself: no difference' '"interval": \[0, 0\], "p": 1\}'
have_numpy && ok 'compare: it is JSON' "$PYTHON" -m json.tool "$OUT"

# Masks of 0 and 1 are a common mistake.
if have_numpy; then
	cp -r d/masks dim
	"$PYTHON" -c 'import sys, zlib, struct
def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
sys.stdout.buffer.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)) +
	chunk(b"IDAT", zlib.compress((b"\0" + b"\1" * 64) * 64)) + chunk(b"IEND", b""))' >dim/dent/000.png
	run adtool eval --normal $good --anomalous $bad --masks dim
	exits 'a mask without a defect' 2
	err_is 'a mask without a defect: named' \
		'adtool: dim/dent/000.png: the mask shows no defect: its brightest pixel is 1, a defect'"'"'s is above 127'
else
	skip 2 'needs a Python'
fi
done_testing
