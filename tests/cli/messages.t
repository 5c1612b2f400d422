#!/bin/sh
# What a terminal, a log and a locale make of output: colors, --log-json, numbers.
. "${0%/*}/lib.sh"

draw d --train 12 --normal 2 --each 1 --size 64
adtool train -q d/train/normal || exit 1
good=d/test/normal
bad=d/test/anomalous
echo text >text.png
esc=$(printf '\033')

# -- color ---------------------------------------------------------------------------------------------

adtool score $good $bad text.png >plain 2>/dev/null
run adtool score $good $bad text.png
same 'not on a terminal: no color' "$OUT" plain
run adtool score --color always $good $bad text.png
cp "$OUT" colored
sed "s/$esc\\[[0-9;]*m//g" colored >got
same '--color always: the rows, and colors' got plain
is '--color always: verdicts only' "$(grep -c -v "	$esc\\[[0-9;]*m[a-z]*$esc\\[m\$" colored)" 0
is '--color always: each its own' "$(sed "s/.*$esc\\[\\([0-9;]*\\)m\\([a-z]*\\)$esc.*/\\2 \\1/" colored | sort -u | cut -d ' ' -f 2 | sort -u | wc -l | tr -d ' ')" \
	"$(cut -f 4 plain | sort -u | wc -l | tr -d ' ')"
run env NO_COLOR=1 adtool score --color always $good
out_like '--color always goes before NO_COLOR' "$esc"
for format in jsonl csv; do
	run adtool score --color always --format $format $good
	out_unlike "--color always, $format: none" "$esc"
done
run adtool score --color=sometimes $good
exits '--color sometimes' 129
err_like '--color sometimes: said' "^adtool: score: option '--color' wants one of auto\\|always\\|never, not 'sometimes'\$"
run adtool --color never score $good
exits '--color before the command' 129
err_like '--color before the command: said' "^adtool: '--color' belongs behind the command"
if have script; then
	terminal() { script -qec "$1" /dev/null </dev/null 2>/dev/null | tr -d '\r'; }
	like 'on a terminal: color' "$(TERM=xterm terminal "adtool score -q $good")" "$esc\\[[0-9;]*mnormal"
	unlike 'on a terminal, NO_COLOR: none' "$(TERM=xterm NO_COLOR=1 terminal "adtool score -q $good")" "$esc\\[[0-9;]*m"
	like 'on a terminal, NO_COLOR empty: color' "$(TERM=xterm NO_COLOR= terminal "adtool score -q $good")" "$esc\\[[0-9;]*mnormal"
	unlike 'on a terminal, --color never: none' "$(TERM=xterm terminal "adtool score -q --color never $good")" "$esc\\[[0-9;]*m"
	unlike 'on a dumb terminal: none' "$(TERM=dumb terminal "adtool score -q $good")" "$esc\\[[0-9;]*m"
else
	skip 5 'needs script'
fi

# -- --log-json ----------------------------------------------------------------------------------------

odd=$(printf 'a\n"\377.png')
echo text >"$odd"
run adtool score --log-json -v "$odd" text.png $good
exits '--log-json' 2
cp "$ERR" log
lines '--log-json: rows as ever' 4
if have_numpy; then
	ok '--log-json: an object a line, with its keys' "$PYTHON" -c '
import base64, datetime, json
log = [json.loads(line) for line in open("log", "rb")]
for o in log:
    assert o["level"] in ("error", "warning", "info"), o
    assert o["what"] == "score", o
    t = datetime.datetime.strptime(o["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert abs((datetime.datetime.utcnow() - t).total_seconds()) < 3600, o
    assert o["message"] and "\n" not in o["message"], o
errors = [o for o in log if o["level"] == "error"]
assert len(errors) == 2, log
assert base64.b64decode(errors[0]["path_bytes"]) == b"a\n\"\xff.png", errors
assert errors[0]["path"] == "a\n\"\ufffd.png", errors
assert errors[1]["path"] == "text.png" and "path_bytes" not in errors[1], errors
info = [o for o in log if o["level"] == "info"]
assert info and all("path" not in o for o in info), log
assert any("2 errors" in o["message"] for o in info), info'
	mkdir empty
	for command in 'score -m gone.zip x' 'score empty' 'score --format xml x' 'xyzzy' '' 'train gone' 'backbone show gone' \
		'score --log-json --foo'; do
		run adtool $command --log-json
		cp "$ERR" log
		ok "--log-json: adtool $command" "$PYTHON" -c '
import json
log = [json.loads(line) for line in open("log", "rb")]
assert log and all(o["message"] for o in log), log'
	done
else
	skip 9 'needs a Python with NumPy'
fi
run adtool train --log-json -q d/train/normal -o again.zip
err_is '--log-json: nothing to say' ''

# -- a locale with a comma -----------------------------------------------------------------------------

if have localedef && [ -e /usr/share/i18n/locales/de_DE ]; then
	mkdir loc
	localedef -c -i de_DE -f UTF-8 "$TMP/loc/de_DE.UTF-8" 2>/dev/null
	there="env LOCPATH=$TMP/loc LC_ALL=de_DE.UTF-8"
	is 'the locale has a comma' "$($there "$(command -v printf | grep / || echo /usr/bin/printf)" %.1f 1,5)" 1,5
	for command in "score $good $bad" "score --format jsonl --alpha 0.05 $good $bad" "score --format csv --threshold 12.5 $good" \
		'info' 'info --json' 'threshold model.zip' \
		"eval --normal $good --anomalous $bad" 'backbone show adnet' "drift model.zip $good" \
		"train -v d/train/normal -o l.zip --energy 0.9 --top 0.2 --mean 1.5,2.5,3.5"; do
		adtool $command 2>/dev/null | sed '/^second/d' >wanted
		$there adtool $command 2>/dev/null | sed '/^second/d' >got
		ok "something is printed: $command" test -s wanted
		same "a comma changes nothing: $command" got wanted
	done
	# The library in a program that has set its locale.
	run $there "$BUILD/tests/tools/comma_locale" d/train/normal comma.zip $good $bad
	exits 'the library in such a locale' 0
	same 'the library in such a locale: the same model' comma.zip model.zip
	for format in tsv csv jsonl; do adtool score --format $format $good $bad; done | grep -v '^path,' >wanted
	same 'the library in such a locale: the same rows' "$OUT" wanted
else
	skip 24 'needs localedef and the sources of locales'
fi
done_testing
