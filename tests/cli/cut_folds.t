#!/bin/sh
# eval --folds with --tiles: what each fold says is what a training on the others says.
. "${0%/*}/lib.sh"

mkdir ok bad masks
for i in 1 2 3 4 5 6 7; do scene 300x200 "$i" "ok/$i.png"; done
scene 90x70 8 ok/8.png
scene 300x200 60 bad/x.png defect 120,90,30,30
scene 300x200 61 bad/y.png defect 90,60,30,30
"$BUILD/tests/tools/draw_mask" 300x200 masks/x.png 120,90,30,30 || exit 1
"$BUILD/tests/tools/draw_mask" 300x200 masks/y.png 90,60,30,30 || exit 1
"$BUILD/tests/tools/draw_mask" 300x200 mask.png 60,30,180,125 || exit 1

# by_hand FOLDS OPTION...: trains without each fold, and scores it: name, score, p, verdict as in `rows`.
by_hand() {
	_folds=$1
	shift
	: >hand
	while [ "$_folds" -gt 0 ]; do
		mkdir rest
		cp ok/*.png rest/
		awk -v f="$_folds" -F '\t' '$7 == f { print $1 }' rows >mine
		grep ^ok/ mine | sed 's/^ok/rest/' | xargs rm
		rm -rf under && mkdir under && mv rest under/ok
		(cd under && adtool train -q "$@" -o ../fold.zip ok) || return 1
		adtool score -q -m fold.zip - <mine >>hand || return 1
		rm -rf under
		_folds=$((_folds - 1))
	done
	sort hand >hand.sorted
	cut -f 1-4 rows | sort >rows.sorted
}

# Tiles of 8 x 8: 950 of each picture, of which a fit takes 2048 / 5 or 2048 / 6.
for options in '--tiles 112x112+16' '--tiles 112x112 --method ppca --alpha 0.2' \
	'--tiles 8x8 --size 32x32 --grid 1 --layer layer8 --channels 10 --seed 4' \
	'--tiles 64x64+8 --channels 0 --grid 2 --aggregate max --components 3' '--tiles 112x112 --group-by ([0-9]) --roi 5%,5%,90%,90%'; do
	# shellcheck disable=SC2086
	run adtool eval $options --folds 3 ok --anomalous bad --bootstrap 0 --rows rows
	exits "eval --folds $options" 0
	ok "each fold by hand: $options" by_hand 3 $options
	same "gives the same figures: $options" rows.sorted hand.sorted
done
rm ok/8.png
run adtool eval --tiles 64x64 --grid 4 --mask mask.png --folds 2 ok --anomalous bad --masks masks --bootstrap 0 --rows rows -j 1
exits 'with a mask' 0
cp "$OUT" one
num 'pixel AUROC' "$(sed -n 's/^pixel AUROC  *\([0-9.]*\),.*/\1/p' "$OUT")" '>' 0.9
by_hand_mask() { by_hand 2 --tiles 64x64 --grid 4 --mask "$TMP/mask.png"; }
ok 'each fold by hand' by_hand_mask
same 'gives the same figures' rows.sorted hand.sorted
run adtool eval --tiles 64x64 --grid 4 --mask mask.png --folds 2 ok --anomalous bad --masks masks --bootstrap 0 -j 3
same '-j 1 and -j 3 say the same' "$OUT" one

# What cannot be read is told of and left out; too little memory is said.
run adtool eval --tiles 112x112 --folds 3 ok --anomalous bad --bootstrap 0 --rows rows
cp rows all
echo 'no picture' >ok/3x.png
head -c 3000 ok/5.png >ok/5x.png
run adtool eval --tiles 112x112 --folds 3 ok --anomalous bad --bootstrap 0 --rows rows
exits 'pictures that cannot be read' 2
is 'are named' "$(grep -c '^adtool: ok/[35]x\.png: ' "$ERR")" 2
same 'and change nothing' rows all
run adtool eval --tiles 112x112 --folds 3 ok --anomalous bad --memory 1M
exits 'too little memory' 128
err_like 'is said' 'take more than the limit of 1 MiB'
run adtool eval --tiles 112x112 --folds 9 ok --anomalous bad
exits 'more folds than pictures' 128
done_testing
