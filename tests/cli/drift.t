#!/bin/sh
# adtool drift.
. "${0%/*}/lib.sh"
PATH=$BUILD/tests/tools:$PATH

draw d --train 40 --normal 60 --each 4 --size 64
ok 'a model' adtool train -q d/train/normal
mkdir tinted
i=0
for f in d/test/normal/*; do
	i=$((i + 1))
	[ $i -le 40 ] || dim_picture 1.5 1 "$f" "tinted/${f##*/}"
done
(cd d/test/normal && ls | sed -n 41,60p | xargs rm)

for format in tsv csv jsonl; do
	adtool score --format $format d/test/normal >quiet.$format
	adtool score --format $format tinted >tinted.$format
	cat quiet.$format tinted.$format >both.$format
done

# Nothing has changed.
run adtool drift --exit-code --scores quiet.tsv model.zip
exits 'no drift: status' 0
out_like 'no drift: said' '^drift +no$'
out_like 'no drift: how many' '^looked at +40 pictures against 40 calibration scores of median '
err_is 'no drift: no remarks' ''
out_unlike 'no drift: no pictures named' '\.png'
cp "$OUT" quiet.out
run adtool drift model.zip d/test/normal
same 'pictures give what their rows give' "$OUT" quiet.out

# The lamp is changed.
run adtool drift --scores both.tsv model.zip
exits 'drift without --exit-code: status 0' 0
out_like 'drift: which way' '^drift +yes: scores are (higher|lower)$'
like 'drift: since when' "$(grep '^since  ' "$OUT")" '^since +row (3[6-9]|4[0-6]) of '
out_like 'drift: an alarm' ': alarm$|reached at row'
cp "$OUT" both.out
is 'drift: ten pictures named' "$(sed '1,/^The .* scores since then:$/d' "$OUT" | wc -l | tr -d ' ')" 10
is 'drift: they are of the new ones' "$(sed '1,/^The .* scores since then:$/d' "$OUT" | grep -cv '^tinted/')" 0
run adtool drift --exit-code --show 3 --scores both.tsv model.zip
exits 'drift with --exit-code: status 1' 1
is '--show' "$(sed '1,/^The .* scores since then:$/d' "$OUT" | wc -l | tr -d ' ')" 3
for format in csv jsonl; do
	run adtool drift --scores both.$format model.zip
	same "$format gives what TSV gives" "$OUT" both.out
done
run adtool drift --scores - model.zip <both.jsonl
same 'rows on standard input' "$OUT" both.out
run adtool drift -j 3 model.zip d/test/normal tinted
same 'pictures give what their rows give' "$OUT" both.out
run adtool drift --format json --scores both.tsv model.zip
exits '--format json' 0
out_like '--format json: drift' '"drift": true,'
out_like '--format json: since' '"since": \{ "row": [0-9]+, "path": "[^"]+", "score": [0-9.]+, "p": [0-9.e-]+ \},'
if have_numpy; then
	ok '--format json is JSON' "$PYTHON" -m json.tool "$OUT"
	run adtool drift --format json --scores quiet.tsv model.zip
	ok '--format json without drift is JSON' "$PYTHON" -m json.tool "$OUT"
else
	skip 2 'needs a Python with NumPy'
fi

# Real defects are no drift, up to the tolerance.
adtool score d/test/anomalous | head -n 1 | cat quiet.tsv - >defect.tsv
run adtool drift --exit-code --scores defect.tsv model.zip
exits 'one defect is no drift' 0

# Rows that are damaged, or not this model's.
printf 'a\t1\t0.5\tnormal\nb\t\t\terror\n' >short.tsv
run adtool drift --scores short.tsv model.zip
exits 'rows of another model: told all the same' 0
err_like 'rows of another model: a remark' '^adtool: short\.tsv: a: p is 0\.5 where this model gives .*another one\?$'
out_like 'errors are counted' '; 1 errors left out$'
refuses() { # NAME ROWS MESSAGE
	printf "$2" >bad
	run adtool drift --scores bad model.zip
	exits "$1: refused" 128
	err_like "$1: why" "^adtool: bad: $3"
}
refuses 'too few columns' 'a\t1\t0.5\n' 'line 1: has fewer than four columns'
refuses 'no number' 'a\t1\t0.5\tnormal\na\tx\t0.5\tnormal\n' 'line 2: its score is no number'
refuses 'infinite' 'a\tinf\t0.5\tnormal\n' 'line 1: its score is no number'
refuses 'hexadecimal' 'a\t0x10\t0.5\tnormal\n' 'line 1: its score is no number'
refuses 'a strange verdict' 'a\t1\t0.5\tfine\n' 'line 1: its verdict is not one'
refuses 'an open quote' 'path,score,p,verdict\r\n"a,1,0.5,normal\r\n' 'line [0-9]+: a quoted field does not end'
refuses 'no JSON' '{"path":\n' 'line 1: is no JSON object'
refuses 'JSON without a score' '{"path":"a","verdict":"normal"}\n' 'line 1: its score or p is no number'
refuses 'NUL' 'a\t1\t0.5\0normal\n' 'holds NUL bytes'
refuses 'nothing' '' 'no picture with a score'
refuses 'errors only' 'a\t\t\terror\n' 'no picture with a score'
printf 'path,score,p,verdict\r\n"a ""b"",\nc",1,0.5,normal\r\n' >quoted.csv
run adtool drift --format json --scores quoted.csv model.zip
err_like 'quoted CSV' '^adtool: quoted\.csv: a "b",\\nc: p is'
run adtool drift --scores gone.tsv model.zip
exits 'no such file' 128
err_like 'no such file: said' '^adtool: gone\.tsv: '
run adtool drift model.zip
exits 'nothing to look at' 129
run adtool drift --scores both.tsv model.zip d/test/normal
exits 'rows and pictures' 129
mkdir mixed
cp d/test/normal/*5.png mixed
echo 'no picture' >mixed/bad.png
run adtool drift model.zip mixed
exits 'a bad picture: status 2' 2
err_like 'a bad picture is named' '^adtool: mixed/bad\.png: '
out_like 'a bad picture is counted' '; 1 errors left out$'

# Real surfaces: no alarm over three ways to cut them in two, and one when the camera's exposure changes.
if have_shared data/magnetic-tile/normal; then
	alarms=0
	for seed in 1 2 3; do
		ls "$SHARED"/data/magnetic-tile/normal/* | awk -v seed=$seed '{ print (NR * 7919 * (2 * seed + 1) + seed * seed * 104729) % 10007, $0 }' |
			sort -n | cut -d ' ' -f 2- >names
		head -n 160 names | adtool train -q -o real.zip - || fail 'real surfaces: a model'
		tail -n 160 names | adtool score -q -m real.zip - >real.tsv
		adtool drift --exit-code --scores real.tsv real.zip >"$OUT" || alarms=$((alarms + 1))
	done
	num 'real surfaces: no false alarm' $alarms "==" 0
	mkdir exposed
	tail -n 60 names | while read -r f; do dim_picture 1.6 0 "$f" "exposed/${f##*/}.png"; done
	adtool score -q -m real.zip exposed | cat real.tsv - >exposed.tsv
	run adtool drift --exit-code --scores exposed.tsv real.zip
	exits 'real surfaces: another exposure is drift' 1
	out_like 'real surfaces: it has higher scores' '^drift +yes: scores are higher$'
	like 'real surfaces: since when' "$(grep '^since  ' "$OUT")" '^since +row 1[5-9][0-9] '
else
	skip 4 'needs ../shared/data/magnetic-tile/normal'
fi
done_testing
