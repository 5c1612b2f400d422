#!/bin/sh
# What scoring may do once it decodes pictures; and that nothing in a model is a path that is written or run.
. "${0%/*}/lib.sh"

# -- what is refused ---------------------------------------------------------------------------------
mkdir outside
echo x >outside/there
run "$BUILD/tests/tools/sandbox_probe" inside outside
exits 'the probe comes to its end' 0
parts=$(sed -n 's/^parts //p' "$OUT")
if [ "$((parts & 1))" = 1 ]; then
	is 'files' "$(sed -n '/^thread/,/^link/p' "$OUT" | tr '\n' ' ')" "thread yes read yes write-inside yes \
atomic-inside yes rename-inside yes remove-inside yes mkdir-inside yes create-outside no write-outside no truncate-outside no \
remove-outside no mkdir-outside no rename-outside no link-inside no "
	is 'what is outside stays' "$(cat outside/there; ls outside)" "x
there"
	like 'exec' "$(cat "$OUT")" '^exec no$'
else
	skip 3 'this kernel has no Landlock'
fi
if [ "$((parts & 2))" = 2 ]; then
	is 'calls' "$(sed -n '/^socket/,$p' "$OUT" | tr '\n' ' ')" "socket no unix-socket no confined-fork yes vfork no \
exec no "
else
	skip 1 'no seccomp here (or a sanitizer, which could not work)'
fi

# -- score -------------------------------------------------------------------------------------------
"$BUILD/tests/fuzz/seeds" seeds
draw set --train 9 --normal 2 --each 1 --size 16
train() { adtool train -q --backbone seeds/onnx/small.onnx --size 16x16 --grid 2 --channels 4 "$@" set/train/normal; }
train -o model.zip
tar cf archive.tar set/test/normal
run adtool score -v --no-sandbox set/test archive.tar
exits '--no-sandbox' 0
err_unlike '--no-sandbox: nothing is said' sandbox
mv "$OUT" free.tsv
run adtool score -v set/test archive.tar
exits 'with the sandbox' 0
same 'with the sandbox: the same rows' "$OUT" free.tsv
err_like '-v says what is in force' '^adtool: score: sandbox: (files and calls|files only|calls only|none)'
run adtool score -q --heatmap a --overlay b/c --map "$TMP/d" --report e --format jsonl set/test
exits 'all outputs' 0
err_is 'all outputs: no message' ''
is 'all outputs are there' "$(find a b d -type f | wc -l | tr -d ' ') $(ls e)" "27 hist.svg
index.html"
run adtool score -q --heatmap a set/test
exits 'outputs are replaced' 0
run adtool score -q --fdr 0.1 --heatmap f set/test
exits 'a batch' 0

# A process that decodes is in it: the list is held open meanwhile. valgrind knows no such calls.
if [ "$((parts & 2))" = 2 ] && [ -r /proc/self/status ] && [ "${BUILD##*/}" != valgrind ]; then
	mkfifo list
	adtool score -q - <list >rows 2>"$ERR" &
	pid=$!
	exec 9>list
	echo set/test/normal/000.png >&9
	n=0
	while [ ! -s rows ] && [ $n -lt 100 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	# `adtool` becomes adtool-score: the same process.
	is 'every thread of a scoring process is under seccomp' "$(cat /proc/$pid/task/*/status | grep '^Seccomp:' | sort -u)" \
		"$(printf 'Seccomp:\t2')"
	is 'and cannot gain privileges' "$(cat /proc/$pid/task/*/status | grep '^NoNewPrivs:' | sort -u)" \
		"$(printf 'NoNewPrivs:\t1')"
	exec 9>&-
	wait "$pid"
	is 'it ends well' "$?" 0
else
	skip 3 'no seccomp here, or under valgrind'
fi

# -- a bundle names no path --------------------------------------------------------------------------
need unzip zip
mkdir unpacked
(cd unpacked && unzip -q ../model.zip)
for name in '../../evil' "$TMP/evil" '`touch evil`' '$(touch evil)' 'evil\u0000x' 'a;touch evil' '-o/evil' 'file:///evil'; do
	rm -rf hostile hostile.zip
	cp -r unpacked hostile
	awk -v name="$name" '{ gsub(/\\/, "\\\\", name); n = name; gsub(/&/, "\\\\&", n)
		if ($0 ~ /"(name|licence|source|adtool_version|created|group_by)": *"/) sub(/: *"[^"]*"/, ": \"" n "\"")
		print }' unpacked/manifest.json >hostile/manifest.json
	(cd hostile && zip -q -0 -X ../hostile.zip manifest.json *.onnx *.npy)
	mkdir -p room
	cp hostile.zip set/test/normal/000.png room/
	before=$(find "$TMP" "$HOME" | sort)
	for command in 'info hostile.zip' 'info --check hostile.zip' 'score -q -m hostile.zip 000.png' 'threshold hostile.zip' \
		'train -q --from hostile.zip -o hostile.zip 000.png' 'score -q -m hostile.zip --heatmap maps --report maps 000.png'; do
		(cd room && adtool $command >/dev/null 2>&1)
		rm -rf room/maps
	done
	is "nothing is made by a model that says $name" "$(find "$TMP" "$HOME" | sort)" "$before"
done
cp -r unpacked slip
mkdir slip/deep
printf x >evil
(cd slip/deep && zip -q -0 ../../slip.zip ../../evil ../manifest.json ../backbone.onnx)
rm evil
run adtool score -m slip.zip set/test/normal/000.png
exits 'a member that would climb out' 128
not_ok 'a member that would climb out is not unpacked' test -e evil
done_testing
