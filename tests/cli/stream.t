#!/bin/sh
# adtool score in a pipeline: when rows come, when they stop, and at what pace.
. "${0%/*}/lib.sh"

draw d --train 12 --normal 4 --each 1 --size 64
adtool train -q d/train/normal || exit 1
good=d/test/normal
adtool score $good d/test/anomalous >rows || exit 1
cut -f 1 rows >names
count=$(($(wc -l <names)))

# A signal: what is done is printed, whole, and the status tells.
for signal in INT TERM; do
	number=2
	[ $signal = INT ] || number=15
	rm -f fifo out
	mkfifo fifo
	adtool score - <fifo >out 2>err &
	pid=$!
	exec 4>fifo
	head -n 3 names >&4
	ok "SIG$signal: rows come while the list is open" until_true has_lines out 3
	printf 'half a pa' >&4
	kill -s $signal $pid
	wait $pid
	is "SIG$signal: its status" $? $((128 + number))
	exec 4>&-
	head -n 3 rows >wanted
	same "SIG$signal: the rows that were done, and no more" out wanted
	is "SIG$signal: nothing to say" "$(cat err)" ''
done

# In the middle of a folder, at a pace that leaves time for it: a beginning of all rows.
rm -f out
adtool score --limit-rate 1 $good d/test/anomalous >out 2>err &
pid=$!
ok 'in a folder: the first row is out' until_true has_lines out 1
kill -s INT $pid
wait $pid
is 'in a folder: SIGINT ends it' $? 130
head -n "$(($(wc -l <out)))" rows >wanted
same 'in a folder: a beginning of the rows' out wanted
num 'in a folder: not all of them' "$(($(wc -l <out)))" '<' "$count"

# Also where it was ignored at the start, as a shell does for what it runs in the background.
for signal in INT TERM; do
	number=2
	[ $signal = INT ] || number=15
	rm -f out
	(trap '' INT TERM; exec adtool score --limit-rate 1 $good d/test/anomalous >out 2>err) &
	pid=$!
	ok "SIG$signal ignored at the start: the first row is out" until_true has_lines out 1
	kill -s $signal $pid
	wait $pid
	is "SIG$signal ignored at the start: ends it" $? $((128 + number))
done

# Rows that wait for the last picture, and a page, are made of what there is.
rm -f fifo
mkfifo fifo
adtool score --fdr 0.5 --report page --heatmap maps - <fifo >out 2>err &
pid=$!
exec 4>fifo
head -n 2 names >&4
maps() { [ "$(find maps -name '*.png' 2>/dev/null | wc -l)" -eq 2 ]; }
ok '--fdr: two pictures are scored' until_true maps
kill -s TERM $pid
wait $pid
is '--fdr: SIGTERM ends it' $? 143
exec 4>&-
is '--fdr: the rows that were done' "$(cut -f 1,2 out)" "$(head -n 2 rows | cut -f 1,2)"
ok '--fdr: and their page' test -s page/index.html

# The reader of a pipe that goes away ends it, though the list is still open.
rm -f fifo
mkfifo fifo
{
	adtool score - <fifo 2>err
	echo $? >code
} | head -n 1 >out &
pid=$!
exec 4>fifo
cat names >&4
# All of these rows may be out before head ends.
more() { test -s code || { (head -n 1 names >&4) 2>/dev/null; test -s code; }; }
ok 'head: ends while the list is open' until_true more
exec 4>&-
wait $pid
is 'head: as other programs' "$(cat code)" 141
is 'head: nothing to say' "$(cat err)" ''
is 'head: the row' "$(cat out)" "$(head -n 1 rows)"

{
	until_true test -e gone
	(trap '' PIPE; exec adtool score $good 2>err)
	echo $? >code
} | { exec <&-; : >gone; }
is 'no reader, and SIGPIPE ignored: a failure' "$(cat code)" 128
is 'no reader, and SIGPIPE ignored: with a message' "$(cat err)" 'adtool: stdout: Broken pipe'

# A reader that is slow holds up the list, not memory. The pipes on both sides take some thousand lines.
rm -f fifo
mkfifo fifo
{
	i=0
	while [ $i -lt 20000 ]; do
		i=$((i + 1))
		echo "there/is/no/such/picture/$i.png" && echo $i >taken
	done 2>/dev/null
} | adtool score - >fifo 2>/dev/null &
exec 4<fifo
settled() {
	_before=$(cat taken 2>/dev/null)
	sleep 1
	[ -n "$_before" ] && [ "$_before" = "$(cat taken)" ]
}
ok 'a slow reader: the list comes to rest' until_true settled
num 'a slow reader: most of the list was not taken' "$(cat taken)" '<' 19000
cat <&4 | wc -l >out
exec 4<&-
is 'a slow reader: then all rows come' "$(tr -d ' ' <out)" 20000

# Several at one file: rows stay whole. They are longer than a buffer.
long=$(printf '%0200d' 0)
long=$long/$long/$long/$long/$long/$long/$long/$long/$long/$long
i=0
while [ $i -lt 200 ]; do
	i=$((i + 1))
	echo "$long/$i.png"
done >longnames
: >shared
pids=
for i in 1 2 3 4; do
	adtool score --format jsonl - <longnames >>shared 2>>shared.err &
	pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
is 'several at one file: all rows' "$(wc -l <shared | tr -d ' ')" 800
is 'several at one file: each whole' "$(grep -c -v '^{"path":"0.*[0-9]\.png","verdict":"error","error":".*"}$' shared)" 0
is 'several at one file: messages too' "$(grep -c -v '^adtool: 0.*[0-9]\.png: cannot open: ' shared.err)" 0

# Pace.
now() { date +%s%N; }
start=$(now)
run adtool score --limit-rate 10 $good d/test/anomalous
num '--limit-rate: a tenth of a second between pictures' "$((($(now) - start) / 1000000))" '>=' $(((count - 1) * 100))
same '--limit-rate changes no row' "$OUT" rows
run adtool score --limit-rate 0 $good
exits '--limit-rate 0' 129
run adtool score --limit-rate inf $good
exits '--limit-rate inf' 129
rm -f fifo out
mkfifo fifo
adtool score -j 2 --nice 7 - <fifo >out 2>err &
pid=$!
exec 4>fifo
cat names >&4
ok '--nice: rows come' until_true has_lines out "$count"
wanted=$(($(nice) + 7))
is '--nice: of every thread' "$(cat /proc/$pid/task/*/stat | sed 's/.*) //' | cut -d ' ' -f 17 | sort -u)" $((wanted < 19 ? wanted : 19))
exec 4>&-
wait $pid
is '--nice: status' $? 0
same '--nice changes no row' out rows
run adtool score --nice 20 $good
exits '--nice 20' 129
run adtool score --nice -5 $good
exits '--nice -5' 129
run adtool score --jobs 2 $good d/test/anomalous
same '--jobs is -j' "$OUT" rows

# What is no picture, one row each, and none of them is waited for.
mkdir -p strange/sub cross/a cross/b
cp $good/000.png strange/m.png
mkfifo strange/fifo strange/fifo.png
ln -s loop strange/loop
ln -s nothing strange/nothing.png
ln -s .. strange/sub/up
ln -s /dev/zero strange/zero.png
if have_numpy; then
	"$PYTHON" -c 'import socket; socket.socket(socket.AF_UNIX).bind("strange/socket")'
else
	mkfifo strange/socket
fi
run timeout 60 adtool score strange strange/fifo /dev/null
exits 'strange files: some could not be read' 2
is 'strange files: a row each' "$(cut -f 1,4 "$OUT" | tr '\t' ' ' | sed 's/ anomalous/ normal/')" 'strange/fifo error
strange/fifo.png error
strange/loop error
strange/m.png normal
strange/nothing.png error
strange/socket error
strange/sub/up error
strange/zero.png error
strange/fifo error
/dev/null error'
is 'strange files: and a line each on stderr' "$(wc -l <"$ERR" | tr -d ' ')" 9
is 'strange files: on a list too' "$(find strange -name 'fifo*' | timeout 60 adtool score - 2>/dev/null | cut -f 4 | sort -u)" error

# Folders linked crosswise are read once.
cp $good/000.png cross/a/p.png
cp $good/001.png cross/b/p.png
ln -s ../b cross/a/b
ln -s ../a cross/b/a
ln -s b cross/0
run adtool score cross
exits 'crosswise links' 0
is 'crosswise links: each picture once' "$(cut -f 1 "$OUT")" 'cross/a/p.png
cross/b/p.png'

# Pictures that vanish after they were listed.
cp -r $good vanish
first=$(find vanish -name '*.png' | LC_ALL=C sort | head -n 1)
rows=$(find vanish -name '*.png' | wc -l | tr -d ' ')
rm -f out
adtool score --limit-rate 1 vanish >out 2>err &
pid=$!
ok 'vanishing: the first row is out' until_true has_lines out 1
find vanish -name '*.png' ! -path "$first" -delete
wait $pid
is 'vanishing: some could not be read' $? 2
is 'vanishing: those that were listed have a row' "$(grep -c -v 'normal$\|anomalous$\|error$' out)" 0
num 'vanishing: at most a row each' "$(($(wc -l <out)))" '<=' "$rows"
like 'vanishing: why' "$(cat err)" '^adtool: vanish/.*: .*No such file or directory$'
done_testing
