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
# The service: systemd reads it, and its command does what it is there for.
unit=$ROOT/examples/adtool-watch@.service
if have systemd-analyze; then
	mkdir units
	cp "$unit" units/adtool-watch@line3.service
	run systemd-analyze verify --man=no --recursive-errors=no "$TMP/units/adtool-watch@line3.service"
	exits 'systemd takes the unit' 0
	err_is 'systemd takes the unit without a word' ''
else
	skip 2 'needs systemd-analyze'
fi
mkdir -p incoming state
cp set/test/anomalous/missing/000.png incoming/
command=$(sed -n 's|^ExecStart=/usr/bin/env ||p' "$unit" | sed 's/ watch / watch --once /')
run env MODEL=m.zip INCOMING=incoming STATE_DIRECTORY=state sh -c "$command"
exits "the unit's command runs" 0
out_like "the unit's command: a row" '^{"path":"incoming/000\.png",.*"verdict":"anomalous"'
ok "the unit's command: moved" test -s state/anomalous/000.png
ok "the unit's command: remembered" test -s state/state

# The crontab: each line is a time and a command, and the commands run.
sed -n 's/^\([A-Z]*\)=.*/\1/p' "$ROOT/examples/adtool.crontab" | LC_ALL=C sort >set.txt
is 'crontab: its variables' "$(tr '\n' ' ' <set.txt)" 'INCOMING MAILTO MODEL PATH '
is 'crontab: its lines' "$(grep -v '^#\|^$\|^[A-Z]*=' "$ROOT/examples/adtool.crontab" |
	grep -c -v -E '^([0-9*/,-]+ +){5}[a-z]')" 0
grep -v '^#\|^$\|^[A-Z]*=' "$ROOT/examples/adtool.crontab" | sed -E 's/^([^ ]+ +){5}//' >commands
cp set/train/normal/*.png incoming/
while read -r line; do
	run env HOME="$TMP" MODEL=m.zip INCOMING=incoming sh -c "$line"
	exits "crontab: $line" 0
	err_is "crontab: $line: no mail without reason" ''
done <commands
like 'crontab: rows are kept, those of a day in a file' "$(cat line3-2*.tsv)" '^incoming/000\.png	.*	(normal|anomalous)$'
done_testing
