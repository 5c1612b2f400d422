#!/bin/sh
# --fit, --roi, --mask: what is looked at, and that a defect lights up where it is, however the picture gets there.
. "${0%/*}/lib.sh"

mkdir ok
for i in $(seq 1 24); do scene 280x140 "$i" "ok/$i.png"; done
scene 280x140 50 normal.png
# The blot's centre is at 172, 52: inside the centre that a crop looks at.
for o in 1 2 3 4 5 6 7 8; do scene 280x140 77 "blot$o.png" defect 160,40,24,24 orientation "$o"; done
scene 280x140 77 corner.png defect 2,2,24,24

score_of() { cut -f 2 "$OUT" | head -n 1; }

# -- fit -------------------------------------------------------------------------------------------------

for fit in stretch letterbox crop; do
	run adtool train -q --fit $fit -o $fit.zip ok
	exits "$fit: train" 0
	run adtool score -m $fit.zip normal.png
	out_like "$fit: a normal picture is normal" 'normal$'
	run adtool score -m $fit.zip --format jsonl --overlay over blot1.png
	out_like "$fit: a blot is an anomaly" '"verdict":"anomalous"'
	near "$fit: it lights up where it is" 172 52 45
	ok "$fit: the overlay has the picture's width" grep -q '' over/blot1.png.png
	run adtool score -m $fit.zip blot1.png blot2.png blot3.png blot4.png blot5.png blot6.png blot7.png blot8.png
	is "$fit: a picture that is turned upright has the same score" "$(cut -f 2 "$OUT" | sort -u | wc -l | tr -d ' ')" 1
	run adtool score -m $fit.zip --format jsonl blot6.png
	near "$fit: and lights up at the same place" 172 52 45
	run adtool info --check $fit.zip
	exits "$fit: the model is sound" 0
done
run adtool train -q -o default.zip ok
same 'stretch is the default: the same bytes' default.zip stretch.zip
run adtool info --json stretch.zip
out_unlike 'and its manifest does not mention it' geometry
run adtool info crop.zip
out_like 'info tells the fit' '^  fit +crop$'
run adtool score -m crop.zip --format jsonl corner.png
out_unlike 'crop does not look at a corner' '"peak_at":\[[0-9],'
out_like 'crop: the row says what the map covers' '"map_box":\[70,0,140,140\]'
run adtool score -m letterbox.zip --format jsonl corner.png
near 'letterbox does' 14 14 45
out_like 'letterbox: the map reaches beyond the picture' '"map_box":\[0,-70,280,280\]'
run adtool score -m stretch.zip --format jsonl corner.png
out_unlike 'stretch: it is the picture, and not said' map_box

# Of the input's own shape all three are one.
mkdir square
for i in $(seq 1 8); do scene 150x150 "$i" "square/$i.png"; done
for fit in stretch letterbox crop; do adtool train -q --fit $fit -o sq.zip square && adtool score -m sq.zip square/3.png; done >rows
is 'a picture of the shape of the input is fitted alike' "$(sort -u rows | wc -l | tr -d ' ')" 1
# 1 pixel high or wide.
scene 300x1 5 thin.png
scene 1x300 5 narrow.png
for fit in stretch letterbox crop; do
	run adtool score -q -m $fit.zip --heatmap thin thin.png narrow.png
	exits "$fit: pictures of one row or column" 0
done

# -- roi -------------------------------------------------------------------------------------------------

run adtool train -q --roi 100,10,120,100 -o roi.zip ok
exits 'roi: train' 0
run adtool score -m roi.zip --format jsonl blot1.png
near 'roi: a blot in it lights up where it is' 172 52 45
out_like 'roi: the map covers it' '"map_box":\[100,10,120,100\]'
run adtool score -m roi.zip --map maps corner.png
cp "$OUT" corner.row
scene 280x140 77 clean.png
run adtool score -m roi.zip clean.png
is 'roi: what is outside does not change the score' "$(score_of)" "$(cut -f 2 corner.row)"
run adtool score -m roi.zip blot1.png blot2.png blot3.png blot4.png blot5.png blot6.png blot7.png blot8.png
is 'roi: it is of the upright picture' "$(cut -f 2 "$OUT" | sort -u | wc -l | tr -d ' ')" 1
scene 219x140 3 short.png
run adtool score -m roi.zip short.png clean.png
exits 'roi: beyond the picture: one error row' 2
out_like 'roi: and the others go on' 'clean.png.*normal$'
err_is 'roi: and one line' "adtool: short.png: the model's region of interest, 100,10,120,100, reaches beyond the picture of 219 x 140 pixels"
run adtool train -q --roi 50%,0%,50%,100% --fit letterbox -o half.zip ok
run adtool score -m half.zip --format jsonl blot1.png
near 'roi in percent, letterboxed' 172 52 45
run adtool score -m half.zip --format jsonl short.png
exits 'roi in percent: of every size' 0
run adtool info half.zip
out_like 'info tells the region' '^  region +50%,0%,50%,100%$'
run adtool train -q --roi 500,0,10,10 -o none.zip ok
exits 'roi: in none of the pictures' 128
err_like 'roi: says so' 'reaches beyond the picture of 280 x 140'
ok 'roi: no model then' test ! -e none.zip

# -- mask ------------------------------------------------------------------------------------------------

# Half the pictures' size, black on the left; the noise there differs from picture to picture.
"$BUILD/tests/tools/draw_mask" 140x70 mask.png 40,0,100,70 || exit 1
mkdir loud
for i in $(seq 1 24); do scene 280x140 "$i" "loud/$i.png" defect "$((i % 8 * 7)),$((i * 4)),24,24"; done
scene 280x140 77 loud.png defect 20,90,24,24
for fit in stretch letterbox crop; do
	run adtool train -q --fit $fit --mask mask.png -o mask.zip loud
	exits "mask, $fit: train" 0
	run adtool train -q --fit $fit --mask mask.png -o quiet.zip ok
	run adtool score -m mask.zip loud.png
	cp "$OUT" a.row
	run adtool score -m quiet.zip clean.png
	is "mask, $fit: what is black never reaches the network" "$(score_of)" "$(cut -f 2 a.row)"
	run adtool score -m mask.zip --format jsonl --overlay over-mask blot1.png
	near "mask, $fit: a blot in the white lights up where it is" 172 52 45
	run adtool info --check mask.zip
	exits "mask, $fit: the model is sound" 0
done
run adtool info mask.zip
out_like 'info tells the mask' '^  mask +140x70 pixels, which leave [0-9]+ of 49 cells$'
scene 140x140 3 other.png
run adtool score -m mask.zip other.png
exits 'mask: another shape is refused' 2
err_is 'mask: with both sizes' "adtool: other.png: 140 x 140 pixels do not have the shape of the model's mask of 140 x 70"
scene 141x70 3 nearly.png
run adtool score -q -m mask.zip nearly.png
exits 'mask: a shape that is off by rounding is not' 0
run adtool train -q --mask mask.png --method ppca --components 3 -o ppca.zip ok
exits 'mask: ppca' 0
run adtool score -m ppca.zip clean.png
exits 'mask: ppca scores' 0
run adtool train -q --mask mask.png --roi 100,10,120,100 -o both.zip ok
exits 'mask and roi in pixels: the mask must have the size of the pictures' 128
run adtool train -q --mask mask.png --roi 30%,0%,70%,100% -o both.zip ok
exits 'mask and roi in percent' 0
run adtool score -m both.zip --format jsonl blot1.png
near 'mask and roi: a blot lights up where it is' 172 52 45
run adtool train -q --mask mask.png --roi 0%,0%,20%,100% -o none.zip ok
exits 'mask: nothing white in the region' 128
err_like 'mask: says so' 'the mask: it has no white where pictures are looked at'
"$BUILD/tests/tools/draw_mask" 140x70 black.png 0,0,0,0 || exit 1
run adtool train -q --mask black.png -o none.zip ok
err_is 'mask: a black one' 'adtool: train: the mask: it has no white, so nothing would be looked at'
"$BUILD/tests/tools/draw_mask" 5000x20 long.png 0,0,9,9 || exit 1
run adtool train -q --mask long.png -o none.zip ok
err_is 'mask: a long one' 'adtool: train: the mask: 5000 x 20 pixels: a side is longer than the limit of 4096'
run adtool train -q --mask gone.png -o none.zip ok
exits 'mask: a missing one' 128
err_like 'mask: says which' '^adtool: gone.png: '

# -- a model's recipe ------------------------------------------------------------------------------------

run adtool train -q --fit crop --mask mask.png --keep-stats -o kept.zip ok/1*.png
exits 'stats with a mask' 0
run adtool train -q --update kept.zip -o updated.zip ok
exits 'and an update' 0
run adtool train -q --fit crop --mask mask.png --keep-stats -o all.zip ok
same 'which has the bytes of training on all' updated.zip all.zip
run adtool train -q --from kept.zip --keep-stats -o from.zip ok
same 'as --from has' from.zip all.zip
run adtool train -q --update kept.zip --fit stretch ok
exits 'an update keeps the geometry' 129
run adtool train -q --update kept.zip --mask mask.png ok
exits 'and the mask' 129

# -- other commands --------------------------------------------------------------------------------------

mkdir bad masks
cp blot1.png bad/
"$BUILD/tests/tools/draw_mask" 280x140 masks/blot1.png 160,40,24,24 || exit 1
for options in '--fit letterbox' '--fit crop' '--roi 90,0,190,140' '--mask mask.png'; do
	# shellcheck disable=SC2086
	run adtool eval $options --train ok --normal normal.png clean.png --anomalous bad --masks masks --format json
	exits "eval $options" 0
	num "eval $options: pixel AUROC" "$(sed -n 's/.*"pixel": {"auroc": \([0-9.e-]*\),.*/\1/p' "$OUT")" '>' 0.9
	# shellcheck disable=SC2086
	run adtool eval $options --folds 3 ok --anomalous bad --masks masks --format json
	exits "eval --folds $options" 0
	num "eval --folds $options: pixel AUROC" "$(sed -n 's/.*"pixel": {"auroc": \([0-9.e-]*\),.*/\1/p' "$OUT")" '>' 0.9
done
run adtool tune --train ok --normal normal.png clean.png short.png thin.png --anomalous blot1.png blot2.png corner.png loud.png \
	--backbone adnet --layer layer16 --size 224x224 --grid 7 4 --energy 0.97 --aggregate top max --fit letterbox -o tuned.zip
exits 'tune --fit' 0
run adtool info tuned.zip
out_like 'its model has it' '^  fit +letterbox$'
run adtool features --fit crop -o f.npy clean.png
exits 'features --fit' 0
cp f.npy g.npy
run adtool features --roi 70,0,140,140 -o f.npy clean.png
same 'features: a region that is the centre is the crop' f.npy g.npy

# -- the command line ------------------------------------------------------------------------------------

for words in '--fit fill' '--roi 1,2,3' '--roi 1,2,3,4,5' '--roi 1.5,2,3,4' '--roi -1,2,3,4' '--roi 10%,10%,80%,80' \
	'--roi 10%,10%,80,80%' '--roi 10%,10%,95%,80%' '--roi 0,0,0,0' '--roi 0,0,0,5' '--roi 70000,0,1,1' '--roi 1,2,3,4x' \
	'--roi nan%,0%,1%,1%' '--roi 0%,0%,0%,1%' '--tiles 8' '--tiles 8x' '--tiles 0x8' '--tiles 8x8+8' '--tiles 8x8+' \
	'--tiles 5000x8' '--tiles 8x8 --fit crop'; do
	# shellcheck disable=SC2086
	run adtool train $words -o none.zip ok
	exits "refused: $words" 129
	lines "nothing on stdout: $words" 0
done
ok 'no model of any of these' test ! -e none.zip
run adtool score --fit crop -m crop.zip clean.png
exits 'score takes the geometry of the model' 129

done_testing
