#!/bin/sh
# adtool tune with --tiles, held against train and eval.
. "${0%/*}/lib.sh"

mkdir ok val bad
for i in 1 2 3 4 5 6; do scene 300x200 "$i" "ok/$i.png"; done
for i in 21 22 23 24 25; do scene 300x200 "$i" "val/$i.png"; done
# Some that can hardly be seen; one smaller than a tile on either side.
scene 80x60 26 val/26.png
i=31
for at in 10,10,12,12 100,50,3,3 150,100,2,2 200,20,4,4 250,100,1,1 30,150,2,3; do
	scene 300x200 $i "bad/$i.png" defect $at
	i=$((i + 1))
done
scene 80x60 40 bad/40.png defect 20,20,3,3
"$BUILD/tests/tools/draw_mask" 300x200 mask.png 60,30,220,150 || exit 1

candidates() { sed -n 's/^    \({.*}\),*$/\1/p' tune.json; }
field() { sed "s/.*\"$1\": \"*\([^,\"}]*\).*/\1/"; }
sets='--train ok --normal val --anomalous bad'

# by_hand COUNT EVERY OPTION...: there are so many candidates; the figures of some are what eval says.
by_hand() {
	_count=$1
	_every=$2
	shift 2
	is "candidates: $*" "$(candidates | wc -l | tr -d ' ')" "$_count"
	candidates | awk -v every="$_every" 'NR % every == 1' >some
	while read -r c; do
		run adtool eval --train ok --normal val --anomalous bad --bootstrap 0 --format json --backbone adnet \
			--layer "$(echo "$c" | field layer)" --size "$(echo "$c" | field width)x$(echo "$c" | field height)" \
			--grid "$(echo "$c" | field grid)" --energy "$(echo "$c" | field energy)" \
			--aggregate "$(echo "$c" | field aggregate)" "$@" </dev/null
		is "AUROC and average precision by hand: $(echo "$c" | field layer) $(echo "$c" | field width) $(echo "$c" | field grid)" \
			"$(sed -n 's/^  "auroc": \(.*\),/\1/p; s/^  "average_precision": \(.*\),/\1/p' "$OUT" | tr '\n' ' ')" \
			"$(echo "$c" | field auroc) $(echo "$c" | field average_precision) "
	done <some
}

run adtool tune --backbone adnet $sets --tiles 112x112+16 --layer layer8 layer16 --grid 3 7 --energy 0.97 0.8 \
	--aggregate max top --format json -o best.zip -j 1
exits 'tune' 0
cp "$OUT" tune.json
by_hand 16 5 --tiles 112x112+16
is 'the size is that of a tile' "$(candidates | field width | sort -u)" 112
num 'candidates differ' "$(candidates | field auroc | sort -u | wc -l)" '>' 1
command=$(sed -n 's/^  "command": "\(.*\)",/\1/p' tune.json)
# shellcheck disable=SC2086
run $command -q -o again.zip ok
exits 'the command it prints runs' 0
same 'the model is that of the command' best.zip again.zip
run adtool tune --backbone adnet $sets --tiles 112x112+16 --layer layer8 layer16 --grid 3 7 --energy 0.97 0.8 \
	--aggregate max top --format json -j 3
same 'the same bytes whatever the threads' "$OUT" tune.json

# Tiles of 8 x 8, of which the fit takes 2048 / 6 of each picture; a picture that cannot be read is told of once.
small='--tiles 8x8 --size 32x32 --grid 1 --layer layer8 --energy 0.97 --aggregate top'
echo 'no picture' >ok/x.png
ln -s nowhere ok/y.png
# shellcheck disable=SC2086
run adtool tune --backbone adnet $sets $small --channels 10 --format json
exits 'a picture that cannot be read' 2
is 'is told of once' "$(grep -c 'ok/x\.png' "$ERR")" 1
is 'so is one that is not there' "$(grep -c 'ok/y\.png' "$ERR")" 1
cp "$OUT" tune.json
rm ok/y.png
by_hand 1 2 --tiles 8x8 --channels 10
rm ok/x.png

rm val/26.png bad/40.png
run adtool tune --backbone adnet $sets --tiles 64x64+8 --size 64x64 128x128 --grid 4 --energy 0.97 --layer layer16 \
	--mask mask.png --roi 10,10,280,180 --format json -o best.zip
exits 'with a mask and a region' 0
cp "$OUT" tune.json
by_hand 6 2 --tiles 64x64+8 --mask mask.png --roi 10,10,280,180
command=$(sed -n 's/^  "command": "\(.*\)",/\1/p' tune.json)
# shellcheck disable=SC2086
run $command -q -o again.zip ok
same 'which the command it prints has, too' best.zip again.zip

run adtool tune --backbone adnet $sets --tiles 112x112 --memory 1M
exits 'too little memory' 128
err_like 'is said' 'more than the limit of 1 MiB'
# 2.7 MB to learn from, and as many to choose by.
run adtool tune --backbone adnet $sets --tiles 112x112 --layer layer16 --grid 7 --channels 0 --memory 4M
exits 'enough for those to learn from alone' 128
err_like 'with the limit that was given' 'the features of the pictures take more than the limit of 4 MiB; fewer grids'
run adtool tune --backbone adnet $sets --tiles 112x112 --fit crop
exits 'no crop' 129
done_testing
