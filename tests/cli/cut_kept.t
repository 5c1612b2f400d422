#!/bin/sh
# --tiles with --keep-stats and --update: a model that is updated has the bytes of one that saw all pictures.
. "${0%/*}/kept.sh"

mkdir a b
for i in 1 2 3 4 5 6; do scene 300x200 "$i" "a/$i.png"; done
# One of another shape, one smaller than a tile; names before, between and after those of a.
scene 200x300 7 b/0.png
scene 60x50 8 b/35.png
scene 300x200 9 b/9.png
scene 300x200 50 normal.png
scene 300x200 77 blot.png defect 180,140,30,30
"$BUILD/tests/tools/draw_mask" 300x200 mask.png 90,30,150,125 || exit 1
mkdir same
for i in 1 2 3 4 5 6 7; do cp "a/$(((i - 1) % 6 + 1)).png" "same/$i.png"; scene 300x200 $((i + 20)) "same/$i.png"; done

# Tiles of 8 x 8: 950 of each picture, of which the fit takes 2048 / 9, or 2048 / 6, drawn by the number of the picture.
small='--tiles 8x8 --size 32x32 --grid 1 --layer layer8'
for options in '--tiles 112x112+16' '--tiles 112x112+16 --method ppca' '--tiles 64x64 --channels 0 --grid 2 --seed 3' \
	"$small --channels 10" '--tiles 112x112 --roi 10%,10%,80%,80% --group-by ([0-9]) --alpha 0.2 --aggregate max' \
	'--tiles 128x128 --precision bf16' '--tiles 128x128+32 --components 4 --fit stretch'; do
	# shellcheck disable=SC2086
	updates 'a b blot.png' $options
done

# With a mask, in whose pictures only some tiles are.
for options in '--tiles 64x64+8 --grid 4' '--tiles 8x8 --size 32x32 --grid 2 --layer layer8'; do
	adtool train -q --keep-stats $options --mask mask.png -o union.zip same
	adtool train -q --keep-stats $options --mask mask.png -o m.zip same/2.png same/4.png same/5.png
	run adtool train -q --update m.zip same/1.png same/3.png same/6.png same/7.png
	same "--update with a mask: $options" m.zip union.zip
	adtool train -q $options --mask mask.png -o plain.zip same
	adtool score -q -m plain.zip same blot.png >plain.tsv
	adtool score -q -m union.zip same blot.png >union.tsv
	same "--keep-stats changes no score with a mask: $options" union.tsv plain.tsv
done

# What is left out, what cannot be used, what takes the place of another.
tiles='--tiles 112x112+16'
adtool train -q --keep-stats $tiles -o m.zip a
mkdir c
cp a/3.png c/copy.png
cp b/9.png c/more.png
run adtool train --update m.zip c
out_like 'a known picture is left out' '^pictures +7 used, 0 refused; 6 from the old model, 1 known before$'
adtool train -q --keep-stats $tiles -o union.zip a c/more.png
same 'a known picture changes nothing' m.zip union.zip
echo 'no picture' >a/25.png
head -c 2000 b/9.png >b/26.png
adtool train -q --keep-stats $tiles -o union.zip a b 2>/dev/null
adtool train -q --keep-stats $tiles -o m.zip a 2>/dev/null
run adtool train -q --update m.zip b
exits 'a picture that is cut off: status 2' 2
err_like 'it is named' '^adtool: b/26\.png: '
same 'refused before and now: as in the union' m.zip union.zip
rm a/25.png b/26.png
adtool train -q --keep-stats $tiles -o m.zip a
cp a/3.png kept.png
scene 150x300 60 a/3.png
run adtool train -q --update m.zip a/3.png
adtool train -q --keep-stats $tiles -o union.zip a
same 'a new picture of an old name and another shape takes its place' m.zip union.zip
cp kept.png a/3.png
adtool train -q --keep-stats $tiles -o m.zip a
run adtool threshold -q --alpha 0.1 m.zip
run adtool train -q --update m.zip b
adtool train -q --keep-stats $tiles --alpha 0.1 -o union.zip a b
same 'adtool threshold keeps the stats; --update takes over its alpha' m.zip union.zip
run adtool train --keep-stats $tiles --drop 2 -o drop.zip a b
out_like 'the worst are dropped' '^pictures +7 used, 0 refused, 2 dropped'
run adtool train -q --update drop.zip normal.png
exits 'a model without the dropped ones is updated' 0
run adtool train -q --keep-stats $tiles --report page -o page.zip a
exits 'a report' 0
ok 'is written' test -s page/index.html
adtool train -q --keep-stats $tiles -o union.zip a
same 'and changes nothing' page.zip union.zip

# What cannot be.
run adtool train --update union.zip --tiles 112x112+16 b
exits 'other tiles' 129
err_like 'other tiles: why' "'--tiles' does not go with '--update'"
adtool train -q $tiles -o plain.zip a
run adtool train --update plain.zip b
exits 'without stats' 128
err_like 'without stats: what to do' 'keeps no stats, so it cannot be updated: train it again'
cp union.zip before.zip
# 42 MB of them, and at least 20 for all else.
many='--tiles 16x16+8 --size 64x64 --grid 4 --layer layer8 --channels 10'
# shellcheck disable=SC2086
run adtool train -q -j 2 --keep-stats $many --memory 55M -o none.zip a
exits 'tiles that do not fit into memory' 128
err_like 'are told of, with what to do' 'the tiles of these pictures, which are kept, take more than the [0-9]+ MiB that there are for them; a smaller grid, larger tiles or fewer pictures need less$'
ok 'and there is no model' test ! -e none.zip
# shellcheck disable=SC2086
run adtool train -q -j 2 $many --memory 55M -o none.zip a
exits 'which training without them needs not' 0

if have_numpy; then
	cat >check.py <<'PY'
import hashlib, io, json, sys, zipfile, numpy
z = zipfile.ZipFile("union.zip")
stats = numpy.load(io.BytesIO(z.read("stats.npy")))
lines = [l.split("  ", 2) for l in z.read("stats.txt").decode().splitlines()]
kept = json.loads(z.read("manifest.json"))["trained_on"]["tiles_kept"]
across = lambda side: 1 if side <= 112 else -(-(side - 112) // 96) + 1
tiles = sum(across(int(w)) * across(int(h)) for _, size, _ in lines for w, h in [size.split("x")])
assert stats.shape == (tiles, 384, 7, 7), stats.shape
assert kept == tiles and len(lines) == 6
for digest, size, name in lines:
    assert hashlib.sha256(open(name, "rb").read()).hexdigest() == digest
assert size == "300x200", size
PY
	ok 'stats.npy holds a map for each tile, stats.txt the sizes' "$PYTHON" check.py
else
	skip 1 'needs a Python with NumPy'
fi
done_testing
