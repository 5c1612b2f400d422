#!/bin/sh
# --tiles: pictures scored tile by tile, one score and one map; calibrated by whole pictures.
. "${0%/*}/lib.sh"

column() { cut -f "$1" "$OUT"; }

mkdir ok
for i in 1 2 3 4 5 6 7 8; do scene 500x330 "$i" "ok/$i.png"; done
scene 500x330 50 normal.png
for o in 1 2 3 4 5 6 7 8; do scene 500x330 77 "blot$o.png" defect 380,240,30,30 orientation "$o"; done
scene 500x330 77 blot6.jpg defect 380,240,30,30 orientation 6
scene 500x330 77 interlaced.png defect 380,240,30,30 interlaced

run adtool train -q --tiles 224x224+32 -o m.zip ok
exits 'train' 0
run adtool score -m m.zip --format jsonl --map maps normal.png
out_like 'a normal picture is normal' '"verdict":"normal"'
out_like 'its size is its own' '"width":500,"height":330'
if have_numpy; then
	is 'one map, of cells as large as a tile'\''s' \
		"$("$PYTHON" -c "import numpy; print(numpy.load('maps/normal.png.npy').shape)")" '(11, 16)'
else
	skip 1 'needs a Python with NumPy'
fi
run adtool score -m m.zip --format jsonl --overlay over blot1.png
out_like 'a blot is an anomaly' '"verdict":"anomalous"'
near 'it lights up where it is' 395 255 32
run adtool score -m m.zip blot1.png blot2.png blot3.png blot4.png blot5.png blot6.png blot7.png blot8.png interlaced.png
is 'however it is stored' "$(column 2 | sort -u | wc -l | tr -d ' ')" 1
cp "$OUT" rows
run adtool score -m m.zip --format jsonl blot6.jpg
near 'from a JPEG that lies on its side, too' 395 255 32
for j in 1 2 5; do
	run adtool score -j $j -m m.zip blot1.png blot2.png blot3.png blot4.png blot5.png blot6.png blot7.png blot8.png interlaced.png
	same "-j $j changes nothing" "$OUT" rows
	run adtool score -j $j -m m.zip blot1.png
	is "-j $j: nor for a picture that is alone" "$(cat "$OUT")" "$(head -n 1 rows)"
done
run adtool score -m m.zip --report report --heatmap heat blot1.png
exits 'with a report and a heat map' 0
run adtool score -m m.zip --overlay over2 blot1.png
is 'drawing does not change the score' "$(cat "$OUT")" "$(head -n 1 rows)"
for j in 1 3; do
	run adtool train -q -j $j --tiles 224x224+32 -o j.zip ok
	same "train -j $j: the same bytes" j.zip m.zip
done
run adtool info --check m.zip
exits 'the model is sound' 0
run adtool info m.zip
out_like 'info tells the tiles' '^  tiles +224x224 pixels, overlapping by 32$'
out_like 'calibration is of pictures' '^calibration +8 scores'

# Calibration, by definition: the score of each picture by a model trained on the others. Without the reduction of
# channels, which is made of all, that is the same fit.
run adtool train --tiles 224x224+32 --channels 0 --grid 2 --seed 3 -o all.zip ok
sed -n 's/^\(worst\)\{0,1\} *\([0-9.]*\) (p [^)]*)  ok\/\([0-9]\).png$/\3 \2/p' "$OUT" >worst
is 'five worst' "$(wc -l <worst | tr -d ' ')" 5
while read -r i wanted; do
	mkdir rest
	cp ok/*.png rest/
	rm "rest/$i.png"
	adtool train -q --tiles 224x224+32 --channels 0 --grid 2 --seed 3 -o rest.zip rest
	run adtool score -m rest.zip "ok/$i.png"
	is "picture $i is calibrated as it is scored, by a fit that has not seen it" \
		"$(column 2 | awk '{ printf "%.6g", $1 }')" "$wanted"
	rm -rf rest
done <worst
run adtool train --tiles 224x224 --group-by '([0-9])[.]png' -o g.zip ok
exits 'groups' 0
out_like 'of pictures' '^groups +8'
run adtool train --tiles 224x224 --drop 2 -o d.zip ok
exits 'drop' 0
out_like 'two are dropped' '6 used, 0 refused, 2 dropped'
for how in '--method ppca --components 3' '--aggregate max' '--aggregate sum --grid 3'; do
	# shellcheck disable=SC2086
	run adtool train -q --tiles 224x224 $how -o how.zip ok
	exits "train $how" 0
	run adtool score -m how.zip blot1.png
	out_like "$how: a blot is an anomaly" 'anomalous$'
done

# -- sizes -----------------------------------------------------------------------------------------------

for size in 1x1 223x223 224x224 225x225 1x700 700x1 449x223; do
	scene $size 4 size.png
	run adtool score -m m.zip --format jsonl --map maps size.png
	exits "$size" 0
	out_like "$size: tells its size" "\"width\":${size%x*},\"height\":${size#*x}"
done
run adtool train -q --tiles 8x8 --size 32x32 --grid 1 --layer layer16 -o tiny.zip normal.png blot1.png blot2.png blot3.png
exits 'tiny tiles' 0
scene 2049x2048 4 many.png
run adtool score -m tiny.zip many.png
exits 'too many tiles: an error row' 2
err_is 'too many tiles: says how many' 'adtool: many.png: 2049 x 2048 pixels would make 65792 tiles, more than the limit of 65536'

# Memory: the picture is 309 MiB of pixels.
mkdir large
for i in 1 2 3 4; do scene 1500x1100 "$i" "large/$i.png"; done
run adtool train -q --tiles 1024x1024 --size 224x224 -o wide.zip large
scene 12000x9000 4 huge.jpg defect 9000,5000,200,200
if watched; then
	skip 2 'a sanitizer or valgrind itself needs the address space'
else
	limited() { (ulimit -v 400000 && adtool score -j 1 -m wide.zip --format jsonl "$1"); }
	if [ "$(limited normal.png 2>/dev/null | wc -l)" = 1 ]; then
		run limited huge.jpg
		out_like 'a large JPEG is never in memory whole' '"width":12000,"height":9000'
		near 'and what is wrong with it is found' 9100 5100 199
	else
		skip 2 'this build needs more memory than the limit of the test'
	fi
fi
rm huge.jpg

# -- with the rest of the geometry -----------------------------------------------------------------------

run adtool train -q --tiles 128x128 --roi 100,100,400,230 -o roi.zip ok
run adtool score -m roi.zip --format jsonl blot1.png
near 'in a region' 395 255 32
out_like 'the map covers it' '"map_box":\[100,100,400,230\]'
scene 500x330 77 clean.png
scene 500x330 77 outside.png defect 10,10,60,60
run adtool score -m roi.zip clean.png outside.png
is 'what is outside changes nothing' "$(column 2 | sort -u | wc -l | tr -d ' ')" 1
"$BUILD/tests/tools/draw_mask" 250x165 mask.png 100,40,150,125 || exit 1
run adtool train -q --tiles 128x128+16 --mask mask.png -o mask.zip ok
exits 'with a mask' 0
run adtool score -m mask.zip --format jsonl blot1.png
near 'what is white lights up' 395 255 32
run adtool score -m mask.zip clean.png outside.png
is 'what is black changes nothing' "$(column 2 | sort -u | wc -l | tr -d ' ')" 1
run adtool info --check mask.zip
exits 'the model with a mask is sound' 0
mkdir bad masks
cp blot1.png bad/
"$BUILD/tests/tools/draw_mask" 500x330 masks/blot1.png 380,240,30,30 || exit 1
run adtool eval --tiles 128x128+32 --train ok --normal normal.png clean.png --anomalous bad --masks masks --format json
exits 'eval' 0
num 'pixel AUROC' "$(sed -n 's/.*"pixel": {"auroc": \([0-9.e-]*\),.*/\1/p' "$OUT")" '>' 0.95

# -- what does not go ------------------------------------------------------------------------------------

run adtool train -q --from m.zip --fit crop -o none.zip ok
exits 'no crop, from a model with tiles' 128
run adtool train -q --from m.zip -o from.zip ok
same 'a recipe has the tiles' from.zip m.zip
run adtool train -q --tiles 224x224 --group-by '(p)ng' -o none.zip ok
err_like 'one group alone' 'all 8 pictures are of one group'
ok 'no model of these' test ! -e none.zip

done_testing
