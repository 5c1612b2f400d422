#!/bin/sh
# adtool watch.
. "${0%/*}/lib.sh"

draw d --train 16 --normal 6 --each 2 --size 64
adtool train -q d/train/normal || exit 1
adtool train -q --alpha 0.2 --seed 1 --components 2 -o other.zip d/train/normal || exit 1
good=d/test/normal
bad=d/test/anomalous
adtool score $good $bad >all.rows || exit 1
# What shares no bytes with another picture, one anomalous and one normal.
anomalous=$(awk -F '\t' '$4 == "anomalous" { print $1; exit }' all.rows)
normal=$(awk -F '\t' '$4 == "normal" { print $1; exit }' all.rows)
isnt 'the set has an anomalous picture' "$anomalous" ''
XDG_STATE_HOME=$TMP/home-state
export XDG_STATE_HOME

# The scores and verdicts of FILE, by the base names of its paths.
by_name() { sed 's|^[^	]*/||' "$1" | LC_ALL=C sort; }
once() { adtool watch --once --settle 0.1 "$@"; }
start() { # ARGUMENT...: adtool watch in the background; rows to `out`, messages to `err`
	: >out
	: >err
	adtool watch --settle 0.3 "$@" >>out 2>>err &
	pid=$!
}
stop() { # SIGNAL: `code` is then the status
	kill -s "${1:-TERM}" $pid
	wait $pid
	code=$?
}
# For until_true: it has come as far as watching, and does about signals what it will.
watching() { ls -l "/proc/$pid/fd" 2>/dev/null | grep -q inotify; }

# -- once ----------------------------------------------------------------------------------------------

mkdir in
cp $good/*.png in/
cp -r $bad in/sub
run once in
exits '--once' 0
err_is '--once: nothing to say' ''
cp "$OUT" first
adtool score in >wanted
same '--once: the rows of score' first wanted
run once in
exits '--once, again' 0
out_is '--once, again: nothing is new' ''
cd in && run once .
out_is '--once, from elsewhere: nothing is new' ''
cd ..
echo text >in/notes.txt
cp $good/000.png in/.hidden.png
cp $good/000.png in/new.png.part
run once in
out_is 'what score passes over, and what is under way: not scored' ''
mv in/new.png.part in/new.png
run once in
is 'a new picture: its row' "$(cat "$OUT")" "$(sed -n 's|^in/000.png|in/new.png|p' first)"
mv in/new.png in/renamed.png
mv in/sub in/moved
run once in
out_is 'pictures that were renamed, in folders too, are known' ''
touch -d '2001-01-01 00:00:00' in/renamed.png
run once in
out_is 'a picture with other times and the same bytes is known' ''
mv in/renamed.png in/again.png
run once in
out_is 'a picture of whole seconds that was renamed is known' ''
cp $good/001.png in/again.png
run once in
is 'a picture that was overwritten: its row' "$(cut -f 2- "$OUT")" "$(sed -n 's|^in/001.png	||p' first)"
ln in/again.png in/second.png
run once in
is 'a second name for a file: its row' "$(cut -f 1 "$OUT")" in/second.png
head -c 500 $good/002.png >in/cut.png
mkfifo in/fifo
run timeout 60 adtool watch --once --settle 0.1 in
exits 'a damaged picture: status 2' 2
is 'a damaged picture, a FIFO: error rows' "$(cut -f 1,4 "$OUT" | tr '\t' ' ')" 'in/cut.png error
in/fifo error'
run once in
exits 'a damaged picture: once' 0
out_is 'a damaged picture: once' ''
cp $good/002.png in/cut.png
run once in
is 'a damaged picture made whole: its row' "$(cut -f 1,4 "$OUT")" "in/cut.png	normal"
rm in/fifo
for format in csv jsonl; do
	run once --state s.$format --format $format in
	cp "$OUT" got
	adtool score --format $format in >wanted
	same "--format $format: the rows of score" got wanted
done
run once --exit-code --state s1 --threshold -1 in
exits '--exit-code' 1
run once -0 --state s2 in
is '-0: rows end in NUL' "$(tr '\0' '\n' <"$OUT" | cut -f 1)" "$(adtool score in | cut -f 1)"
run once in gone
exits 'a folder that is not there' 128
err_is 'a folder that is not there: said' 'adtool: gone: No such file or directory'
run once $normal
exits 'a file in place of a folder' 128
err_is 'a file in place of a folder: said' "adtool: $normal: Not a directory"
run adtool watch
exits 'no folder' 129
run adtool watch --exit-code in
exits '--exit-code without --once' 129
run adtool watch --exec ' ' --once in
exits 'no command' 129
run adtool watch -m gone.zip --once in
exits 'no model' 128
printf 'picture' >other
run once --state other in
exits 'a state that is something else' 128
err_is 'a state that is something else: said' 'adtool: other: is no state of adtool watch; it is left as it is'
is 'a state that is something else: left' "$(cat other)" picture
# Far more than there is memory, and nothing of it is read.
if truncate -s 8T other 2>/dev/null; then
	run once --state other in
	exits 'a state that is something else, and large' 128
	err_is 'a state that is something else, and large: said' 'adtool: other: is no state of adtool watch; it is left as it is'
else
	skip 2 'this file system has no large files with holes'
fi
rm -f other other.lock
run once --state sl --max-model-size 1K in
exits 'a model above the limit' 128
err_like 'a model above the limit: said' '^adtool: model\.zip: .*limit of 1024 \(--max-model-size\)$'
run once --state sl --max-depth 0 in
num '--max-depth 0: what lies in the folder itself' "$(wc -l <"$OUT")" '>' 5
out_unlike '--max-depth 0: and nothing below' '^in/moved/'
run env -u XDG_STATE_HOME -u HOME adtool watch --once in
exits 'nowhere to keep the state' 128
err_like 'nowhere to keep the state: said' '^adtool: watch: .*--state FILE$'

# A TIFF of several pages: a row each, and together they are one file.
mkdir formats paged
if ASAN_OPTIONS=detect_leaks=0 "$BUILD/tests/tools/draw_formats" formats >/dev/null 2>&1 && [ -s formats/pages.tif ]; then
	cp formats/pages.tif "$normal" paged/
	adtool score paged >wanted
	once --state sp paged >>pages
	same 'pages: the rows of score' pages wanted
	num 'pages: several' "$(grep -c 'pages.tif#' pages)" '>=' 3
	once --state sp paged >>pages
	same 'pages: each once' pages wanted
	touch paged/pages.tif
	once --state sp paged >>pages
	mv paged/pages.tif paged/renamed.tif
	once --state sp paged >>pages
	same 'pages: touched and renamed, they are known' pages wanted
	# Ended between two pages.
	once --state sq paged >>half
	cp half wanted
	grep -v 'done.*\(#3\|tif\)$' sq >cut && mv cut sq
	once --state sq paged >>half
	same 'pages: ended between two, each stands once' half wanted
	once --state sr --threshold -1 --move-anomalous moved paged >half
	ok 'pages: moved as one' test -s moved/renamed.tif
	rm -r paged moved
else
	skip 6 'needs TIFF'
fi

# -- the state -----------------------------------------------------------------------------------------

printf 'done 1 2 3' >>s1
run once --state s1 --threshold -1 in
exits 'a last line that was cut' 0
out_is 'a last line that was cut: nothing is lost' ''
cp $good/003.png in/more.png
run once --state s1 in
lines 'a last line that was cut: what follows is kept' 1
run once --state s1 in
lines 'a last line that was cut: what follows is kept' 0
printf 'done x\nbegin\nwhat\n' >>s1
run once --state s1 in
out_is 'damaged lines: the others count' ''
err_is 'damaged lines: said' 'adtool: s1: 3 of its lines are damaged and passed over'
head -c 7 s1 >s3
run once --state s3 in
exits 'a state that was cut in its first line begins anew' 0
num 'a state that was cut in its first line begins anew' "$(wc -l <"$OUT")" '>' 5
cp s3 kept
run once --state $normal in
exits 'a state that is none' 128
same 'a state that is none is left alone' $normal "$good/${normal##*/}"
run once --state . in
exits 'a state that is a folder' 128
run once --state no/where in
exits 'a state in no folder' 128
# Long, and of things long gone: it is made short, and what is there stays known.
{
	head -n 1 s3
	i=0
	while [ $i -lt 1500 ]; do
		i=$((i + 1))
		echo "done 1 $i 100 1000 1000 - $TMP/in/gone$i.png"
	done
	sed 1d s3
} >s4
run once --state s4 in
out_is 'a long state: what is there is known' ''
num 'a long state: made short' "$(wc -l <s4)" '<' 100
run once --state s4 in
out_is 'a state made short: what is there is known' ''
# One that ages in an empty folder, as where a share is not mounted.
mkdir share
{
	head -n 1 s3
	sed -n "s|$TMP/in/gone|$TMP/share/|p" s4
	i=0
	while [ $i -lt 1500 ]; do
		i=$((i + 1))
		echo "done 1 $i 100 1000 1000 - $TMP/share/$i.png"
	done
} >s5
run once --state s5 share
num 'a share that is not there: nothing is forgotten' "$(wc -l <s5)" '>' 1500

# A row that an earlier run printed before it was killed is not printed again, if it is in the output.
mkdir one
cp "$normal" one/a.png
once --state s6 one >>rows6
cp rows6 whole6
forget() { sed -i '/^done/d' s6; }
forget
once --state s6 one >>rows6
same 'killed after a row was printed: no second one' rows6 whole6
forget
: >rows6
once --state s6 one >>rows6
same 'killed before a row was printed: it is' rows6 whole6
forget
head -c 20 whole6 >rows6
once --state s6 one >>rows6
same 'killed within a row: the rest of it' rows6 whole6
forget
cp whole6 rows6
once --state s6 -m other.zip one >>rows6
same 'killed, and another model since: no second row' rows6 whole6
forget
is 'killed, and another output since: the row is there' "$(once --state s6 one)" "$(cat whole6)"

# -- watching ------------------------------------------------------------------------------------------

mkdir w
cp $good/000.png w/000.png
start w
ok 'what is there is scored' until_true has_lines out 1
cp $good/001.png w/001.png
ok 'a copy is scored' until_true has_lines out 2
cp $good/002.png aside.png
mv aside.png w/002.png
ok 'what is moved here is scored' until_true has_lines out 3
mkdir -p w/x/y
cp "$anomalous" w/x/y/
ok 'what comes in new folders is scored' until_true has_lines out 4
# In pieces, with pauses longer than --settle: the file stays open.
{
	head -c 1000 $good/003.png
	sleep 1
	tail -c +1001 $good/003.png
} >w/003.png
ok 'what comes in pieces is scored' until_true has_text out 003.png
is 'what comes in pieces: once, when it is whole' "$(grep 003.png out | cut -f 2-)" "$(sed -n "s|^$good/003.png	||p" all.rows)"
ln "$good/004.png" w/004.png
ok 'a link is scored' until_true has_text out 004.png
mv w/001.png w/z.png
mv w/x w/renamed
rm w/002.png
cp $good/005.png w/renamed/y/last.png
ok 'what comes in a folder that was renamed is scored' until_true has_text out last.png
is 'and under its new name' "$(grep last.png out | cut -f 1)" w/renamed/y/last.png
mv w away
mkdir w
cp $good/002.png w/back.png
ok 'a folder that was replaced is watched again' until_true has_text out back.png
err_gone=$(cat err)
rm -r w
ok 'a folder that is gone is said' until_true has_text err 'adtool: w: is gone; waiting for it to come back'
mkdir w
cp $good/003.png w/later.png
ok 'and watched when it is there again' until_true has_text out later.png
is 'no name twice' "$(cut -f 1 out | sort | uniq -d)" ''
is 'all are scored as ever' "$(grep -v '	error$' out | wc -l | tr -d ' ')" "$(wc -l <out | tr -d ' ')"
stop
is 'SIGTERM ends it' $code 0
start w
until_true watching
sleep 1
stop INT
is 'SIGINT ends it' $code 0
is 'a second run says nothing anew' "$(cat out)" ''
# As timeout(1) does it: to the process, then to its group.
start w
until_true watching
sleep 1
kill -s TERM $pid
stop
is 'SIGTERM twice at once ends it as once' $code 0

# Those that were read ahead are left for the next run.
cat >slow <<'EOT'
#!/bin/sh
echo "$1" >>slow.log
while [ ! -e go ]; do sleep 0.1; done
EOT
chmod +x slow
rm -rf hand
mkdir hand
for i in 1 2 3 4; do cp $good/00$i.png hand/; done
start --state sh --exec './slow {}' hand
ok 'the command of the first picture runs' until_true has_lines slow.log 1
kill -s TERM $pid
: >go
wait $pid
is 'SIGTERM while it runs' $? 0
is 'that picture is the last' "$(cut -f 1 out)" hand/001.png
is 'for which a command runs' "$(cat slow.log)" hand/001.png
run once --state sh hand
is 'the others are there the next time' "$(cut -f 1 "$OUT" | tr '\n' ' ')" 'hand/002.png hand/003.png hand/004.png '
rm -rf hand

# Two at one state.
start w
ok 'it runs' until_true test -s "$XDG_STATE_HOME/adtool/$(ls "$XDG_STATE_HOME/adtool" | grep -v lock | head -n 1)"
sleep 0.5
run once w
exits 'a second one with the same state' 128
err_like 'is told so' 'is in use by another adtool watch$'
stop

# More than inotify holds.
limit=$(cat /proc/sys/fs/inotify/max_queued_events)
if [ "$limit" -le 20000 ]; then
	start w
	cp $good/003.png w/before.png
	ok 'before more events than inotify holds' until_true has_text out before.png
	kill -s STOP $pid
	mkdir flood
	(cd w && seq 1 $((limit / 2 + 500)) | sed 's/$/.txt/' | xargs touch)
	cp $good/004.png w/after.png
	kill -s CONT $pid
	ok 'more events than inotify holds: said' until_true has_text err 'more happened than inotify can hold'
	ok 'more events than inotify holds: nothing is lost' until_true has_text out after.png
	stop
	rm -f w/*.txt
else
	skip 3 "inotify holds $limit events here"
fi

# The model.
cp model.zip m.zip
rm -rf w
mkdir w
start -m m.zip --state s7 w
cp "$anomalous" w/1.png
ok 'with one model' until_true has_lines out 1
cp other.zip new.zip
mv new.zip m.zip
ok 'a model that is replaced is said' until_true has_text err '^adtool: m.zip: has changed, and was read again$'
cp "$anomalous" w/2.png
ok 'and used' until_true has_lines out 2
is 'and used: its score' "$(sed -n 2p out | cut -f 2-)" "$(adtool score -m other.zip "$anomalous" | cut -f 2-)"
echo damaged >m.zip
ok 'a model that is damaged is said' until_true has_text err 'cannot be used: going on with the model as it was'
cp "$anomalous" w/3.png
ok 'and the old one goes on' until_true has_lines out 3
is 'and the old one goes on: its score' "$(sed -n 3p out | cut -f 2-)" "$(sed -n 2p out | cut -f 2-)"
is 'a model that is damaged is said once' "$(grep -c 'going on' err)" 1
stop
is 'status' $code 0

# -- what follows a row --------------------------------------------------------------------------------

cat >hook <<'END'
#!/bin/sh
printf '%s|' "$@" "$ADTOOL_PATH" "$ADTOOL_SCORE" "$ADTOOL_P" "$ADTOOL_VERDICT" >>hook.log
echo >>hook.log
echo 'said by the command'
case $1 in *fails*) exit 3 ;; *dies*) kill -s KILL $$ ;; esac
END
chmod +x hook
rm -rf w bads
mkdir w
odd=$(printf "a b\n'\"\$(x);*.png")
cp "$normal" "w/$odd"
cp "$normal" w/fails.png
cp "$normal" w/dies.png
cp "$anomalous" w/z.png
echo text >w/broken.png
run once --state s8 --move-anomalous bads/here --exec './hook {} x{}y -v' w
exits '--exec' 2
is '--exec: its output is not among the rows' "$(grep -c said "$OUT")" 0
is '--exec: but among the messages' "$(grep -c said "$ERR")" 5
err_like '--exec: a command that fails' '^adtool: w/fails\.png: --exec: \./hook: ended with status 3$'
err_like '--exec: a command that is killed' '^adtool: w/dies\.png: --exec: \./hook: killed by signal 9$'
numbers=$(adtool score "$normal" | cut -f 2,3 | tr '\t' '|')
is '--exec: its words and variables, whatever is in a name' "$(head -n 4 hook.log)" "w/$odd|xw/${odd}y|-v|w/$odd|$numbers|normal|"
like '--exec: of an error' "$(cat hook.log)" '^w/broken\.png\|xw/broken\.pngy\|-v\|w/broken\.png\|\|\|error\|$'
same '--move-anomalous' bads/here/z.png "$anomalous"
rm -rf w2 gone
mkdir w2
cp "$anomalous" w2/stays.png
run once --state s12 --move-anomalous gone --exec 'rmdir gone' w2
exits '--move-anomalous that fails: status' 2
err_is '--move-anomalous that fails: said' 'adtool: w2/stays.png: cannot be moved to gone: No such file or directory'
lines '--move-anomalous that fails: the row is there' 1
same '--move-anomalous that fails: the picture stays' w2/stays.png "$anomalous"
not_ok '--move-anomalous: it is gone from the folder' test -e w/z.png
ok '--move-anomalous: others stay' test -e w/fails.png
run once --state s9 --exec ./no-such-command w
err_like '--exec: a command that is not there' '^adtool: w/broken\.png: --exec: \./no-such-command: No such file or directory$'
printf 'x' >bads/here/z.png.1
cp "$anomalous" w/z.png
printf 'z' >>w/z.png
run once --state s8 --move-anomalous bads/here w
is '--move-anomalous never overwrites' "$(cat bads/here/z.png.1)" x
same '--move-anomalous never overwrites' bads/here/z.png "$anomalous"
ok '--move-anomalous: the next name' test -s bads/here/z.png.2
cp "$anomalous" w/again.png
run once --state s8 --move-anomalous w/bads --heatmap w/maps --threshold -1 w
run once --state s8 --move-anomalous w/bads --heatmap w/maps --threshold -1 w
out_is 'what it writes itself into a folder is not scored' ''
# To another file system.
shm=$(mktemp -d /dev/shm/adtool-test.XXXXXX 2>/dev/null)
if [ -n "$shm" ] && [ "$(stat -c %d "$shm")" != "$(stat -c %d w)" ]; then
	rm -rf w
	mkdir w
	cp "$anomalous" w/far.png
	touch -d '2020-02-02 02:02:02' w/far.png
	echo other >"$shm/far.png"
	run once --state s10 --move-anomalous "$shm" w
	same '--move-anomalous to another file system' "$shm/far.png.1" "$anomalous"
	is '--move-anomalous to another file system: what was there' "$(cat "$shm/far.png")" other
	is '--move-anomalous to another file system: its time' "$(stat -c %Y "$shm/far.png.1")" "$(date -d '2020-02-02 02:02:02' +%s)"
	not_ok '--move-anomalous to another file system: gone from the folder' test -e w/far.png
	is '--move-anomalous to another file system: nothing else is left' "$(ls -A "$shm" | wc -l | tr -d ' ')" 2
	# Killed before the old one went: the copy that is there is not made again.
	cp -p "$shm/far.png.1" w/far.png
	run once --state s11 --move-anomalous "$shm" w
	is '--move-anomalous, cut off before: no second copy' "$(ls -A "$shm" | wc -l | tr -d ' ')" 2
	rm -rf "$shm"
else
	[ -z "$shm" ] || rm -rf "$shm"
	skip 6 'needs two file systems'
fi

# -- a process of its own ------------------------------------------------------------------------------

rm -rf w
mkdir w
i=0
for file in "$normal" "$anomalous" $good/*.png; do
	i=$((i + 1))
	cp "$file" w/$i.png
done
adtool score w >wanted
run once -v --state s20 w
exits 'in a process of its own' 0
same 'in a process of its own: the rows of score' "$OUT" wanted
is 'in a process of its own: -v says once what it may not do' "$(grep -c -E \
	'^adtool: watch: sandbox: (files and calls|files only; .*|calls only; .*|none; .*)$' "$ERR")" 1
run once -v --no-sandbox --state s21 w
same '--no-sandbox: the same rows' "$OUT" wanted
err_unlike '--no-sandbox: nothing of it' sandbox
for sandbox in '' --no-sandbox; do
	run once $sandbox --format jsonl --heatmap h --map m --threshold -1 --state "s22$sandbox" w
	mv "$OUT" jsonl$sandbox
done
same 'jsonl: the same rows' jsonl jsonl--no-sandbox
like 'jsonl: with regions and files' "$(head -n 1 jsonl)" '"heatmap":"h/w/1\.png\.png","map":"m/w/1\.png\.npy","regions":\['
# A folder of outputs that was removed is made again.
start --state s23 --heatmap h w
until_true has_lines out $((i))
rm -rf h
cp "$normal" w/later.png
ok 'after a folder of outputs went' until_true has_text out 'w/later\.png'
stop
ok 'a folder of outputs is made again' test -s h/w/later.png.png
is 'no message of it' "$(grep -v '^$' err)" ''
rm w/later.png
if watched; then
	skip 10 'failing calls cannot be put under a sanitizer or valgrind'
else
	lossy() { # FAULT ARGUMENT...: watch, not through `adtool`, whose calls would count
		_fault=$1
		shift
		run env ADTOOL_FAULT="$_fault" LD_PRELOAD="$BUILD/tests/faults/shim.so" adtool-watch --once --settle 0.1 "$@"
	}
	lossy png:kill:3 --state s24 w
	exits 'a process that is lost with the third picture' 0
	same 'a process that is lost with the third picture: each row, once' "$OUT" wanted
	err_is 'a process that is lost with the third picture: said' \
		'adtool: watch: the process that scores was killed by signal 9 (Killed): pictures are scored one by one for a while'
	lossy png:kill:0 --state s25 --exec 'echo hook {}' w
	exits 'a process that is lost with every picture' 2
	is 'a process that is lost with every picture: error rows' "$(cut -f 1,4 "$OUT")" "$(cut -f 1 wanted | sed 's/$/	error/')"
	err_like 'a process that is lost with every picture: why' \
		'^adtool: w/1\.png: the process that scored it was killed by signal 9 \(Killed\)$'
	err_like 'a process that is lost with every picture: what follows is done' '^hook w/1\.png$'
	run once --state s25 w
	out_is 'a process that is lost with every picture: not tried again' ''
	cp "$normal" w/1.png
	touch -d '2003-03-03 03:03:03' w/1.png
	run once --state s25 w
	is 'a picture that changed is tried again' "$(cut -f 1,4 "$OUT")" 'w/1.png	normal'
	rm -rf paged
	mkdir paged
	[ ! -e formats/pages.tif ] || cp formats/pages.tif paged/
	cp "$normal" paged/z.png
	adtool score paged >wanted
	lossy png:kill:0 --state s26 paged
	is 'pages before a lost picture are told of once' "$(sed '$d' "$OUT")" "$(sed '$d' wanted)"
fi

# -- killed --------------------------------------------------------------------------------------------

# At many moments, while pictures come in by copying, moving and linking, and are renamed: in the end there is one row
# for each, and it is that of score. Moments are drawn over one and a quarter of the time that as many pictures take.
rm -rf w
mkdir w
: >out
find $good $bad -name '*.png' >files
count=$(($(wc -l <files)))
mkdir timed
for i in 1 2 3; do
	cp "$(sed -n ${i}p files)" timed/$i.png
done
began=$(date +%s%N)
adtool watch --once --settle 0 --state s12.timed timed >/dev/null
took=$((($(date +%s%N) - began) / 1000000))
kills=${ADTOOL_KILLS:-25}
i=0
n=0
rows=0
found=0
while [ $i -lt "$kills" ]; do
	i=$((i + 1))
	# Not a job of this shell, which would tell of every kill.
	(exec setsid adtool watch --state s12 --settle 0 --rescan 1 w >>out 2>>err12 & echo $! >pid12)
	for turn in 1 2 3; do
		n=$((n + 1))
		file=$(sed -n $((n % count + 1))p files)
		case $((n % 3)) in
		0) cp "$file" "w/$n.png" ;;
		1) cp "$file" aside.png && mv aside.png "w/$n.png" ;;
		2) ln "$file" "w/$n.png" ;;
		esac
		[ $((n % 7)) != 0 ] || mv "w/$n.png" "w/r$n.png"
	done
	sleep "$(awk -v i=$i -v ms=$took 'BEGIN { printf "%.3f", ms * 1.25 * (i * 37 % 101) / 101 / 1000 }')"
	before=$rows
	kill -s KILL "$(cat pid12)"
	rows=$(($(wc -l <out)))
	[ "$rows" = "$before" ] || found=$((found + 1))
done
diag "$kills kills, $found of them after a row or more was out"
sleep 0.2
once --state s12 w >>out 2>>err12
ls w | sed 's|^|w/|' | LC_ALL=C sort >names
# A picture that was renamed after it was told of keeps the row under its first name.
cut -f 1 out | sed 's|/r|/|' | LC_ALL=C sort >told
sed 's|/r|/|' names | LC_ALL=C sort >named
same 'killed at random moments: a row for each, and none twice' told named
is 'killed at random moments: rows are whole' "$(awk -F '\t' 'NF != 4 || $4 == "error"' out)" ''
cut -f 2- out | sort -u >scores
cut -f 2- all.rows | sort -u >wanted
same 'killed at random moments: all scores are those of score' scores wanted
done_testing
