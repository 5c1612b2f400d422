#!/bin/sh
# run.sh BUILD SECONDS TARGET...: fuzzes each target for so long, one after another, and prints a table. The corpora grow in
# BUILD/corpus; an input that breaks a target is kept in BUILD/crashes/TARGET: once it is mended, it belongs in
# tests/fuzz/regressions/TARGET. Ends with status 1 when there was one.
set -u
build=$1
seconds=$2
shift 2
here=$(cd "${0%/*}" && pwd)
export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=0
export LSAN_OPTIONS=suppressions=$here/leaks.supp:print_suppressions=0
failed=0
printf '%-18s %12s %9s %9s %8s\n' target executions coverage features crashes
for target; do
	corpus=$build/corpus/$target
	crashes=$build/crashes/$target
	log=$build/corpus/$target.log
	mkdir -p "$corpus" "$crashes"
	seeds=
	for folder in "$build/seeds/$target" "$here/regressions/$target"; do
		[ ! -d "$folder" ] || seeds="$seeds $folder"
	done
	"$build/fuzz/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -malloc_limit_mb=2500 \
		-max_len=65536 -len_control=20 -print_final_stats=1 -close_fd_mask=3 -artifact_prefix="$crashes/" \
		"$corpus" $seeds >"$log" 2>&1
	status=$?
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	last=$(grep -E '^#[0-9]+.* cov: ' "$log" | tail -n 1)
	coverage=$(printf '%s' "$last" | sed -n 's/.* cov: \([0-9]*\).*/\1/p')
	features=$(printf '%s' "$last" | sed -n 's/.* ft: \([0-9]*\).*/\1/p')
	found=$(find "$crashes" -type f | wc -l | tr -d ' ')
	printf '%-18s %12s %9s %9s %8s\n' "$target" "${executions:-?}" "${coverage:-?}" "${features:-?}" "$found"
	if [ "$status" != 0 ]; then
		failed=1
		sed -n '/^==[0-9]*== *ERROR\|^SUMMARY\|runtime error\|does not hold/p' "$log" | head -n 5
	fi
done
exit $failed
