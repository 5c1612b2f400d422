#!/bin/sh
# Every input that once broke a parser, and the seeds of fuzzing, through the fuzz targets (tests/fuzz).
. "${0%/*}/lib.sh"

LSAN_OPTIONS=suppressions=$ROOT/tests/fuzz/leaks.supp:print_suppressions=0
export LSAN_OPTIONS
run sh "$ROOT/tests/fuzz/seeds.sh" "$BUILD" "$TMP/seeds"
exits 'seeds are made' 0
err_is 'seeds are made: nothing to say' ''
for target in "$BUILD"/tests/fuzz/*; do
	name=${target##*/}
	case $name in
	*.o | *.d | seeds) continue ;;
	esac
	inputs=
	for folder in "$TMP/seeds/$name" "$ROOT/tests/fuzz/regressions/$name"; do
		[ ! -d "$folder" ] || inputs="$inputs $folder"
	done
	if [ -z "$inputs" ]; then
		fail "$name: has no seeds"
		continue
	fi
	run "$target" $inputs
	exits "$name" 0
	out_like "$name: replayed something" '^[1-9][0-9]* inputs$'
done
for folder in "$ROOT"/tests/fuzz/regressions/*; do
	[ ! -d "$folder" ] || ok "${folder##*/}: a target reads its regressions" test -x "$BUILD/tests/fuzz/${folder##*/}"
done
done_testing
