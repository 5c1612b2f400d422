#!/bin/sh
# The programs of examples/ do what they say.
. "${0%/*}/lib.sh"

draw set --train 24 --normal 2 --each 1
run train_and_score set/train/normal m.zip set/test/normal set/test/anomalous/missing
exits 'train_and_score' 0
out_like 'it learned from all pictures' '^learned from 24 pictures, threshold [0-9.e+]+$'
out_like 'a line for a normal one' '^set/test/normal/000\.png: score [0-9.e+]+, p [0-9.e-]+: normal$'
out_like 'a line for a broken one' '^set/test/anomalous/missing/000\.png: score [0-9.e+]+, p [0-9.e-]+: anomalous$'
err_is 'nothing on stderr' ''
run train_and_score set/none m2.zip set/test
exits 'no pictures to learn from' 1
not_ok 'leaves no model' test -e m2.zip

run score_one m.zip set/test/anomalous/missing/000.png
exits 'score_one: anomalous' 1
out_like 'says so' '^score [0-9.e+]+, p [0-9.e-]+: anomalous$'
printed=$(cat "$OUT")
run adtool score -m m.zip set/test/anomalous/missing/000.png
is 'the command line scores the same' "$(printf 'score %.4g' "$(cut -f2 "$OUT")")" "${printed%%,*}"
run score_one m.zip set/test/normal/000.png
exits 'score_one: normal' 0
run score_one none.zip set/test/normal/000.png
exits 'no model' 2
err_like 'is named' '^score_one: none\.zip: '
echo 'no picture' >text.png
run score_one m.zip text.png
exits 'no picture' 2
err_like 'is named too' '^score_one: text\.png: '

run features set/test/normal/000.png set/test/normal/000.png set/train/normal text.png set/test/anomalous/missing
exits 'features' 0
lines 'a line for each picture that is one' 27
like 'a picture is like itself' "$(sed -n 2p "$OUT")" '^1\.0000'
err_like 'the other is named' '^features: text\.png: '
run features none.png
exits 'features of nothing' 0
err_like 'says why' '^features: none\.png: '
done_testing
