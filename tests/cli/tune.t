#!/bin/sh
# adtool tune, held against train and eval.
. "${0%/*}/lib.sh"

draw d --train 12 --normal 6 --each 1 --size 64
good=d/test/normal
bad=d/test/anomalous
few="--backbone adnet --size 64x64 96x64 --grid 2 3 --energy 0.9 0.97"
sets="--train d/train/normal --normal $good --anomalous $bad"

run adtool tune $few $sets --format json -o best.zip
exits 'tune' 0
err_is 'tune: nothing on stderr' ''
cp "$OUT" tune.json
candidates() { sed -n 's/^    \({.*}\),*$/\1/p' "$1"; }
field() { sed "s/.*\"$1\": \"*\([^,\"}]*\).*/\1/"; }
# Two layers, two sizes, two grids, two energies, three aggregates.
is 'all combinations are tried' "$(candidates tune.json | wc -l | tr -d ' ')" 48
is 'each once' "$(candidates tune.json | sed 's/, "components.*//' | sort -u | wc -l | tr -d ' ')" 48
have_numpy && ok 'it is JSON' "$PYTHON" -m json.tool tune.json

best=$(sed -n 's/^  "best": //p' tune.json)
is 'the best comes first' "$(candidates tune.json | head -n 1)," "$best"
most=$(candidates tune.json | field auroc | sort -g | tail -n 1)
is 'the best has the largest AUROC' "$(echo "$best" | field auroc)" "$most"
command=$(sed -n 's/^  "command": "\(.*\)",/\1/p' tune.json)
run $command -q -o again.zip d/train/normal
exits 'the command it prints runs' 0
same 'the model is that of the command' best.zip again.zip

# Any candidate's figures are those of eval.
for line in 5 17 40; do
	c=$(candidates tune.json | sed -n "${line}p")
	run adtool eval --train d/train/normal --normal $good --anomalous $bad --format json --backbone adnet \
		--layer "$(echo "$c" | field layer)" --size "$(echo "$c" | field width)x$(echo "$c" | field height)" \
		--grid "$(echo "$c" | field grid)" --energy "$(echo "$c" | field energy)" --aggregate "$(echo "$c" | field aggregate)"
	is "candidate $line: AUROC" "$(sed -n 's/^  "auroc": \(.*\),/\1/p' "$OUT")" "$(echo "$c" | field auroc)"
	is "candidate $line: average precision" "$(sed -n 's/^  "average_precision": \(.*\),/\1/p' "$OUT")" \
		"$(echo "$c" | field average_precision)"
done

# The estimate: 6 normal pictures make 3 folds; each of 20 deals chooses 3 times.
nested=$(sed -n 's/^  "nested": //p' tune.json)
is 'folds' "$(echo "$nested" | field folds)" 3
is 'a choice for each fold' "$(candidates tune.json | field chosen | awk '{ sum += $1 } END { print sum }')" 60
num 'the estimate is a share' "$(echo "$nested" | field auroc)" '<=' 1
num 'the estimate lies between the least' "$(echo "$nested" | field auroc_low)" '<=' "$(echo "$nested" | field auroc)"
num 'and the largest' "$(echo "$nested" | field auroc_high)" '>=' "$(echo "$nested" | field auroc)"
run adtool tune -j 3 $few $sets --format json
same 'the same bytes whatever the threads' "$OUT" tune.json

# One candidate leaves nothing to choose: the estimate is what the folds say of it.
one="--backbone adnet --layer layer16 --size 64x64 --grid 2 --energy 0.97 --aggregate max"
run adtool tune $one $sets
exits 'one candidate' 0
out_like 'one candidate: chosen each time' '^[01]\.[0-9]+ .* max .* 60$'
out_like 'it says that the pictures are no test set' 'on are no test set'
out_unlike 'without -o nothing is written' '^model '
not_ok 'without -o nothing is written' test -e model.zip

# By chance: normal pictures called anomalous give a best of many above one half, and an honest estimate well below it.
draw noise --train 12 --normal 60 --each 1 --size 64
mkdir half
for n in 0 1 2 3 4 5; do mv noise/test/normal/0[0-5]${n}.png half/; done
run adtool tune --backbone adnet --size 64x64 96x96 --grid 1 2 3 4 --train noise/train/normal --normal noise/test/normal \
	--anomalous half --format json
exits 'tuning on nothing' 0
flattering=$(sed -n 's/^  "best": //p' "$OUT" | field auroc)
honest=$(sed -n 's/^  "nested": //p' "$OUT" | field auroc)
num 'tuning on nothing: the best of many is above one half' "$flattering" '>' 0.5
num 'tuning on nothing: the estimate is below the best' "$honest" '<' "$flattering"
num 'tuning on nothing: the estimate is near one half' "$honest" '<' 0.6

# What does not fit is left out and counted.
run adtool tune $one --layer layer16 gone --grid 2 50 $sets --format json
exits 'layers and grids that do not fit' 0
is 'layers and grids that do not fit: counted' "$(sed -n 's/^  "left_out": \(.*\),/\1/p' "$OUT")" 2
run adtool tune --backbone adnet --layer gone $sets
exits 'nothing fits' 128
err_like 'nothing fits: said' '^adtool: tune: no candidate could be tried: .*gone'

# Pictures that cannot be read are said once, though they are read for each layer.
cp -r $good mixed
echo text >mixed/003a.png
run adtool tune --backbone adnet --size 64x64 --grid 2 --energy 0.97 --train d/train/normal --normal mixed --anomalous $bad
exits 'a bad picture: status 2' 2
is 'a bad picture is named once' "$(grep -c '003a' "$ERR")" 1
out_like 'a bad picture: counted' '6 normal and 7 anomalous to choose by; 1 could not be read'

# Few pictures: no estimate.
run adtool tune $one --train d/train/normal --normal $good/000.png --anomalous $bad
exits 'too few for an estimate' 0
out_like 'too few for an estimate: said' '^estimate  none'
mkdir empty
run adtool tune $one --train d/train/normal --normal empty --anomalous $bad
exits 'no normal pictures' 128
run adtool tune $one --train $good/000.png --normal $good --anomalous $bad
exits 'too few to train on' 128
err_is 'too few to train on: said' 'adtool: tune: 1 usable picture to train on; at least 3 are needed'
run adtool tune $one $sets --memory 1
exits 'a limit of memory' 128
err_like 'a limit of memory: said' 'needs? more than the limit of 1 byte$|take more than the limit of 1 byte;'
run adtool tune $one $sets --max-nodes 3
exits 'a limit of nodes' 128
err_like 'a limit of nodes: said' '^adtool: adnet: a graph of [0-9]* nodes, more than the limit of 3 \(--max-nodes\)$'
run adtool tune $one $sets --max-pixels 100
exits 'a limit of pixels' 128
err_like 'a limit of pixels: said' '^adtool: .*\.png: 64 x 64 pixels are more than the limit of 100 pixels \(--max-pixels\)$'
run adtool tune $one $sets --backbone "$ROOT/lib/net/adnet.onnx" --max-model-size 1K
exits 'a limit of bytes of a backbone' 128
err_like 'a limit of bytes of a backbone: said' 'adnet\.onnx: .*limit of 1024 \(--max-model-size\)$'
echo kept >kept.zip
run adtool tune $one $sets -o kept.zip
exits 'a file of another kind is kept' 128
for wrong in '--grid 0' '--grid x' '--size 64' '--size 64x' '--energy 1' '--energy 0' '--aggregate mean' '--normal -'; do
	run adtool tune $sets $wrong
	exits "refused: $wrong" 129
done
done_testing
