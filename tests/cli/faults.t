#!/bin/sh
# What fails while adtool runs: memory, reading, writing, descriptors; and kill -9. ADTOOL_FAULTS=full tries every call, where
# this takes samples otherwise, and ADTOOL_KILLS says how often to kill each command (make check-faults).
. "${0%/*}/lib.sh"

faults=$BUILD/tests/faults
full=${ADTOOL_FAULTS-}
stride() { [ "$full" = full ] && echo 1 || echo "$1"; }

"$BUILD/tests/fuzz/seeds" seeds
backbone=$TMP/seeds/onnx/small.onnx
draw set --train 9 --normal 2 --each 1 --size 16
tar cf archive.tar set/test/normal
# Memory, where there is a file system of it: what is tested is not the disk.
fast=$TMP
for folder in /dev/shm; do
	[ -d "$folder" ] && [ -w "$folder" ] && fast=$(mktemp -d "$folder/adtool-test.XXXXXX")
done
[ "$fast" = "$TMP" ] || trap 'rm -rf "$fast"; _clean_up' EXIT

# -- memory ------------------------------------------------------------------------------------------
mkdir "$fast/out"
run "$faults/nomem" --stride "$(stride 9)" "$backbone" set/train/normal archive.tar "$fast/out"
exits 'each allocation of the library may fail' 0
diag <"$OUT"
rm -rf "$fast/out"

# -- the models --------------------------------------------------------------------------------------
train() { adtool train -q -j 1 --backbone "$backbone" --size 16x16 --grid 2 --channels 4 "$@" set/train/normal; }
train -o old.zip
train --seed 9 --alpha 0.2 -o new.zip
not_ok 'the two models differ' cmp -s old.zip new.zip
adtool score -q -j 1 -m old.zip set/test archive.tar >rows.old

# shim FAULT CMD...: as run, with calls that fail.
shim() {
	_fault=$1
	shift
	run env ADTOOL_FAULT="$_fault" LD_PRELOAD="$faults/shim.so" ADTOOL_FAULT_COUNT="$_bin/count" "$@"
}
# What is run under them; not through a shell, whose own calls would fail.
retrain="adtool-train -q -j 1 --backbone $backbone --size 16x16 --grid 2 --channels 4 --seed 9 --alpha 0.2 -o model.zip
	set/train/normal"
rescore="adtool-score -q -j 1 -m old.zip --heatmap $fast/maps set/test archive.tar"
# shellcheck disable=SC2086 # words are wanted
if watched; then
	skip 1 'failing calls cannot be put under a sanitizer or valgrind'
else
	# -- short reads and writes, interrupted calls: nothing changes ------------------------------
	for fault in read:short:0 write:short:0 read+write+open:eintr:0; do
		cp old.zip model.zip
		shim $fault $retrain
		exits "train, $fault" 0
		same "train, $fault: the same model" model.zip new.zip
		shim $fault $rescore
		exits "score, $fault" 0
		same "score, $fault: the same rows" "$OUT" rows.old
	done

	# each NAME CALLS ERROR STRIDE COMMAND...: makes each of its calls fail, one run for each.
	each() {
		name=$1 calls_of=$2 error=$3 step=$4
		shift 4
		rm -rf "$fast/maps"
		shim "$calls_of:none:0" "$@"
		calls=$(cat "$_bin/count")
		n=1 tried=0 bad=0
		while [ "$n" -le "$calls" ]; do
			cp old.zip model.zip
			rm -rf "$fast/maps" "$XDG_CACHE_HOME/adtool"
			shim "$calls_of:$error:$n" "$@"
			judge "$1"
			tried=$((tried + 1))
			n=$((n + step))
		done
		is "$name: $tried of $calls calls" "$bad" 0
	}

	# wrong WHAT...: something of this run is.
	wrong() {
		diag "$name, call $n, status $status: $*"
		diag <"$ERR"
		bad=$((bad + 1))
	}

	judge() {
		case $status in
		0) # It did without: the results are what they are otherwise.
			case $1 in
			*score) cmp -s "$OUT" rows.old || wrong 'other rows' ;;
			*) cmp -s model.zip new.zip || wrong 'not the new model' ;;
			esac ;;
		2) # A picture could not be read; of train, that makes a third model.
			[ -s "$ERR" ] || wrong 'no message'
			adtool info -q model.zip >/dev/null || wrong 'the model cannot be read' ;;
		1 | 127 | 128)
			# 127: the dynamic linker's; 1: of libgfortran, which ends the program when it has no memory at its start.
			[ "$status$error" != 1enomem ] && [ "$status" = 1 ] && wrong 'status 1 means something else'
			[ -s "$ERR" ] || wrong 'no message'
			cmp -s model.zip old.zip || cmp -s model.zip new.zip || wrong 'neither the old model nor the new one' ;;
		137)
			[ "$error" = kill ] || wrong killed
			cmp -s model.zip old.zip || cmp -s model.zip new.zip || wrong 'neither the old model nor the new one' ;;
		134 | 139)
			# Some libraries do not look at what malloc gives them. What adtool asks for itself must not end so.
			caller=$(cat "$_bin/count.caller" 2>/dev/null)
			case $error${caller##*/} in
			enomemlib*) diag "$name, call $n: a crash within ${caller##*/}" ;;
			*) wrong "a crash (memory for ${caller:-?})" ;;
			esac ;;
		*) wrong 'no documented status' ;;
		esac
		for left in model.zip.tmp-*; do
			# Only between having its name and being renamed can it be left.
			[ ! -e "$left" ] || [ "$error" = kill ] || wrong "left $left"
			rm -f "$left"
		done
	}
	each 'train, disk full at a write' write enospc "$(stride 1)" $retrain
	each 'train, error at fsync, rename, link' sync+rename+link eio 1 $retrain
	each 'train, too many open files' open emfile "$(stride 3)" $retrain
	each 'train, read error' read eio "$(stride 7)" $retrain
	each 'train, killed around writing' write+sync+rename+link kill 1 $retrain
	each 'score, disk full at a write' write enospc "$(stride 4)" $rescore
	each 'score, error at fsync, rename, link, mkdir' sync+rename+link+mkdir eio "$(stride 5)" $rescore
	each 'score, too many open files' open emfile "$(stride 7)" $rescore
	each 'score, read error' read eio "$(stride 7)" $rescore
	each "train, anybody's memory" malloc enomem "$(stride 301)" $retrain
	each "score, anybody's memory" malloc enomem "$(stride 201)" $rescore
fi

# -- kill -9 -----------------------------------------------------------------------------------------
times=${ADTOOL_KILLS:-20}
run "$faults/killed" $times 1 model.zip old.zip new.zip adtool-train -q -j 2 --backbone "$backbone" --size 16x16 --grid 2 \
	--channels 4 --seed 9 --alpha 0.2 -o model.zip set/train/normal
exits 'train, killed: the old model or the new one' 0
diag <"$OUT"
cp old.zip set.zip
adtool threshold -q --value 5 set.zip >/dev/null
not_ok 'a threshold changes the model' cmp -s set.zip old.zip
run "$faults/killed" $times 2 model.zip old.zip set.zip adtool-threshold -q --value 5 model.zip
exits 'threshold, killed: the old model or the new one' 0
diag <"$OUT"
run adtool score -q -m model.zip set/test archive.tar
exits 'the model that is left scores' 0
cut -f 1-2 "$OUT" >scores.left
cut -f 1-2 rows.old >scores.old
same 'the same scores' scores.left scores.old
# A kill after the file has its temporary name and before it takes the model's leaves it there: whole, since it was synced.
find . -name '*.tmp-*' >left
sed 's/^/left: /' left | diag
for file in $(cat left); do
	ok 'what is left has the temporary name of a model' expr "$file" : '\./model\.zip\.tmp-......$'
	ok 'and is a whole one' adtool info --check "$file"
done

# -- descriptors -------------------------------------------------------------------------------------
run sh -c 'ulimit -n 4; exec adtool-score -q -m old.zip set/test'
isnt 'no descriptors to speak of: no crash' "$((status > 128))" 1
err_like 'no descriptors to speak of: said' 'Too many open files|error while loading'
done_testing
