#!/bin/sh
# The demo runs, its pictures are worth detecting something in, and they are the same everywhere.
. "${0%/*}/lib.sh"

# The whole demo, in a build folder of its own.
mkdir b
ln -s "$BUILD/bin" b/bin
ln -s "$BUILD/examples" b/examples
run sh "$ROOT/examples/demo.sh" b
exits 'the demo runs' 0
err_is 'with nothing on stderr' ''
out_like 'and says where the model lies' '^  the model +b/demo/model\.zip'
out_like 'and where the heat maps do' '^  heat maps +b/demo/heatmaps/$'
cd b/demo || exit 1

ok 'the model is there' test -s model.zip
overlay=$(sed -n 's/.*(look at: b\/demo\/\(.*\))$/\1/p' "$OUT")
ok 'the overlay it points to is there' test -s "$overlay"
is 'a row for each picture' "$(wc -l <scores.tsv | tr -d ' ')" 72
is 'a heat map for each picture' "$(find heatmaps -name '*.png' | wc -l | tr -d ' ')" 72

auroc=$(sed -n 's/^ *AUROC  *\([0-9.]*\).*$/\1/p' "$OUT")
pixels=$(sed -n 's/^ *pixel AUROC  *\([0-9.]*\),.*/\1/p' "$OUT")
num 'image AUROC' "$auroc" '>=' 0.95
num 'pixel AUROC' "$pixels" '>=' 0.90

# A set on which the plainest method does as well would show nothing.
"$BUILD/tests/tools/mean_picture" train/normal test/normal test/anomalous >mean.txt
num 'the mean difference from the mean picture fails' "$(sed -n 's/^mean //p' mean.txt)" '<=' 0.80
num 'and so does the largest difference' "$(sed -n 's/^max //p' mean.txt)" '<=' 0.80

# The pictures.
is 'seven kinds of defects' "$(ls test/anomalous | paste -s -d' ' -)" \
	'contamination crack dent misprint missing scratch stain'
(cd test/anomalous && find . -name '*.png' | sort) >pictures.txt
(cd masks && find . -name '*.png' | sort) >masks.txt
same 'a mask for each defective picture' pictures.txt masks.txt
cd "$TMP" || exit 1

ok 'drawn once' draw_samples one --train 2 --normal 1 --each 2 --size 64 --seed 7
ok 'drawn again' draw_samples two --train 3 --normal 2 --each 1 --size 64 --seed 7
same 'the same training picture' one/train/normal/001.png two/train/normal/001.png
same 'the same test picture' one/test/normal/000.png two/test/normal/000.png
same 'the same defect, whatever else is drawn' one/test/anomalous/crack/000.png two/test/anomalous/crack/000.png
ok 'another seed' draw_samples three --train 1 --normal 0 --each 0 --size 64 --seed 8
not_ok 'another picture' cmp -s one/train/normal/000.png three/train/normal/000.png
not_ok 'no folder without pictures' test -e three/test

# Pixels, not PNG files, whose packing may change with the library.
run draw_samples digest --train 3 --normal 3 --each 3 --digest
out_is 'the pixels that every machine draws' "$(cat "$HERE/digest")"

run draw_samples
exits 'no folder: usage' 129
run draw_samples x --size 7
exits 'too small a picture: usage' 129
err_like 'which says what sizes there are' "^draw_samples: --size: '7' is not a number from 16 to 4096$"
ln -s /nonexistent/x nowhere
run draw_samples nowhere/y --train 1
exits 'a folder that cannot be made' 1
done_testing
