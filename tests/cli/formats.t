#!/bin/sh
# Formats of pictures on the command line: pages, standard input, the background, what a build is without.
. "${0%/*}/lib.sh"

mkdir formats
# libx265, which writes the HEIC, loses some memory.
ASAN_OPTIONS=detect_leaks=0 "$BUILD/tests/tools/draw_formats" formats || exit 1
draw set --train 12 --normal 1 --each 0 --size 32
ok 'a model' adtool train -q set/train/normal -o m.zip
score() { adtool score -m m.zip "$@"; }
# The second column of what was printed: scores.
scores() { cut -f 2 "$OUT"; }

# -- every format, whatever its name ---------------------------------------------------------------------
mkdir png disguised
while IFS='	' read -r file png most psnr page; do
	# Those that must be exact.
	[ "$most" = 0 ] && [ "$page" = 0 ] || continue
	cp "formats/$file" "disguised/$file.jpg"
	cp "formats/$png" "png/$file.jpg"
done <formats/list
run score disguised
exits 'pictures of every format are scored, called .jpg' 0
scores >got
run score png
scores >wanted
same 'with the scores of the PNGs they equal' got wanted
num 'and there are many' "$(wc -l <got)" '>=' 20

for format in TIFF WebP GIF HEIC AVIF 'JPEG XL' 'ICC profile'; do
	run adtool --version -v
	out_like "--version -v tells of $format" "^format $format +[a-z]"
done

# -- damage is one line ----------------------------------------------------------------------------------
mkdir cut
for file in $(cd formats && ls | grep -v -e png -e list -e pages -e '^text'); do
	size=$(wc -c <"formats/$file")
	head -c $((size * 2 / 3)) "formats/$file" >"cut/$file"
done
run score cut
exits 'pictures of every format, cut' 2
is 'each is an error' "$(cut -f 4 "$OUT" | sort -u)" error
is 'with one line for each row' "$(grep -c '^adtool: cut/' "$ERR")" "$(wc -l <"$OUT")"
err_unlike 'and no other' '^[^a]'
if [ -e cut/lossless.jxl ]; then
	run adtool train -o m2.zip --mask cut/lossless.jxl set/train/normal
	exits 'a mask that is cut' 128
	err_like 'is told' '^adtool: cut/lossless.jxl: '
	err_unlike 'and no other line' '^[^a]'
else
	skip 3 'this build is without JPEG XL'
fi

# -- pages -----------------------------------------------------------------------------------------------
if [ ! -e formats/pages.tif ]; then
	skip 19 'this build is without TIFF'
else
	mkdir pages
	cp formats/pages.tif formats/rgb.tif pages/
	run score pages
	exits 'a folder with a TIFF of several pages' 0
	is 'each page is a row' "$(cut -f 1 "$OUT")" 'pages/pages.tif#1
pages/pages.tif#2
pages/pages.tif#3
pages/rgb.tif'
	scores >got
	for page in 1 2 3; do
		cp "formats/pages.tif.$page.png" "page-$page.png"
	done
	run score page-1.png page-2.png page-3.png
	scores >wanted
	head -n 3 got >three
	same 'with the scores of their PNGs' three wanted
	run score 'formats/pages.tif#2' 'formats/rgb.tif#1'
	exits 'one page by its number' 0
	is 'called so' "$(cut -f 1 "$OUT")" 'formats/pages.tif#2
formats/rgb.tif#1'
	is 'is that page' "$(scores | head -n 1)" "$(sed -n 2p wanted)"
	run score 'formats/pages.tif#4'
	exits 'a page that is not there is an error' 2
	err_is 'which says how many there are' 'adtool: formats/pages.tif#4: there is no page 4: the TIFF has 3'
	run score 'formats/pages.tif#0' 'formats/pages.tif#x' 'formats/gone.tif#1' 'formats/#1'
	exits 'what is no number of a page is a name' 2
	is 'of a file that is not there' "$(grep -c 'No such file' "$ERR")" 4
	cp formats/rgb.tif 'pages.tif#1'
	run score 'pages.tif#1'
	is 'a file of that name goes first' "$(scores)" "$(sed -n 4p got)"
	run score --format jsonl --heatmap heat 'formats/pages.tif'
	out_like 'a heat map for each page' '"heatmap":"heat/formats/pages.tif#3.png"'
	ok 'is there' test -s heat/formats/pages.tif#3.png
	tar cf a.tar -C formats rgb.tif pages.tif p3.png
	run score a.tar
	is 'pages in an archive' "$(cut -f 1 "$OUT")" 'a.tar:rgb.tif
a.tar:pages.tif#1
a.tar:pages.tif#2
a.tar:pages.tif#3
a.tar:p3.png'
	is 'have the same scores' "$(scores | sed -n 2,4p)" "$(cat wanted)"
	run score - <<EOF
formats/pages.tif
formats/pages.tif#3
EOF
	lines 'pages on a list' 4
	is 'are the same' "$(scores)" "$(cat wanted; tail -n 1 wanted)"
	head -c "$(($(wc -c <formats/pages.tif) - 40))" formats/pages.tif >cut.tif
	run score cut.tif
	exits 'a file whose last directory is cut: an error' 2
	is 'of one page, the others are there' "$(cut -f 1,4 "$OUT" | grep -n error)" '3:cut.tif#3	error'
	run adtool train pages -o p.zip
	exits 'training on pages' 0
	out_like 'takes each as a picture' '^pictures +4 used'
	err_unlike 'none is the copy of another' 'same bytes'
fi

# -- standard input --------------------------------------------------------------------------------------
run score formats/p3.png
sed 's/^[^	]*/-/' "$OUT" >wanted
run score --stdin-image <formats/p3.png
same 'a picture on standard input is called -' "$OUT" wanted
cat formats/p3.png | run score --stdin-image --heatmap heat --format jsonl
out_like 'it has a heat map' '"heatmap":"heat/-.png"'
{ head -c 100 formats/p3.png; sleep 0.2; tail -c +101 formats/p3.png; } | score --stdin-image >slow
same 'it may come in pieces' slow wanted
run score --stdin-image </dev/null
exits 'nothing on standard input' 2
err_is 'is said' 'adtool: -: not a picture: it is empty'
run score --stdin-image <&-
exits 'no standard input' 2
head -c 200 formats/p3.png | run score --stdin-image
err_like 'a cut picture' '^adtool: -: truncated PNG'
run score --stdin-image set
exits 'together with an input' 129
run score
exits 'with neither' 129
err_like 'is a missing operand' 'missing operand: INPUT'

# -- background ------------------------------------------------------------------------------------------
run adtool train -q --background '#ff8000' set/train/normal -o orange.zip
exits 'a background' 0
run adtool info orange.zip
out_like 'is kept in the model' '^  background +#ff8000$'
run adtool info m.zip
out_unlike 'unless it is black' background
unzip -p orange.zip manifest.json >manifest
ok 'the manifest has it' grep -q '"background": *16744448' manifest
adtool score -m m.zip formats/alpha.pam | cut -f 2 >black
adtool score -m orange.zip formats/alpha.pam | cut -f 2 >orange
not_ok 'it shows through' cmp -s black orange
run adtool train --from orange.zip set/train/normal -q -o again.zip
ok '--from keeps it' cmp -s orange.zip again.zip
run adtool train --background black -q set/train/normal -o black.zip
ok 'black is the default' cmp -s m.zip black.zip
for colour in '' orange '#12' '#12345678' '#zzz'; do
	run adtool train --background "$colour" set/train/normal
	exits "no colour: '$colour'" 129
done
err_like 'says which there are' "option '--background': '#zzz' is no colour .*#rrggbb, #rgb, "

done_testing
