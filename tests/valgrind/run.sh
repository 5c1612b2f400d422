#!/bin/sh
# run.sh BUILD: the commands under valgrind's memcheck, on small pictures and a network of six nodes; no errors, no leaks. AVX-512 is
# beyond valgrind, and so is a sandbox.
set -eu
build=$1
case $build in /*) ;; *) build=$PWD/$build ;; esac
here=$(cd "${0%/*}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/adtool-valgrind.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME="$work" XDG_CACHE_HOME="$work/cache" ADTOOL_ISA=scalar
"$build/tests/fuzz/seeds" seeds
"$build/examples/draw_samples" set --train 9 --normal 3 --each 1 --size 16 >/dev/null
tar cf archive.tar set/test/normal
printf 'no picture' >bad.png
failed=0
# memcheck STATUS PROGRAM ARGUMENT...
memcheck() {
	want=$1 program=$2
	shift 2
	status=0
	valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --suppressions="$here/valgrind.supp" \
		"$build/bin/adtool-$program" "$@" >out 2>err || status=$?
	if [ "$status" = "$want" ]; then
		echo "ok - $program $*"
	else
		echo "not ok - $program $* (status $status)"
		head -n 40 err
		failed=1
	fi
}
net="--backbone seeds/onnx/small.onnx --size 16x16 --grid 2"
# shellcheck disable=SC2086 # words are wanted
memcheck 0 train -q -j 2 $net --channels 4 --keep-stats -o m.zip set/train/normal
memcheck 0 train -q -j 1 --backbone seeds/onnx/small.onnx --size 16x16 --method ppca -o p.zip set/train/normal
memcheck 2 score -q -j 2 --no-sandbox -m m.zip --format jsonl --heatmap h --overlay o --map n set/test archive.tar bad.png
memcheck 0 score -q -j 1 --no-sandbox -m p.zip --fdr 0.1 set/test
memcheck 0 score -q -j 1 --no-sandbox -m m.zip --report r set/test
memcheck 0 info --check m.zip
memcheck 0 threshold -q --value 5 m.zip
memcheck 0 eval -q -m m.zip --normal set/test/normal --anomalous set/test/anomalous --bootstrap 10
memcheck 0 features -q $net -o f.npy set/test/normal
memcheck 0 backbone show seeds/onnx/many.onnx
memcheck 128 score -q --no-sandbox -m bad.png set/test
memcheck 129 train --size 0x0
exit $failed
