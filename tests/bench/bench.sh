#!/bin/sh
# `make bench`: the forward pass beside ONNX Runtime's, then whole commands. Prints a report and keeps it in the
# build's folder.
#
#	sh tests/bench/bench.sh [ROUNDS [SECONDS]]
#
# Backbones: adnet, and those of ../shared/backbones (ADTOOL_SHARED) where they are. The peer: onnxruntime-node in the
# folder that ADTOOL_ORT names; it runs the file that `adtool backbone cut` makes, as it always runs the whole graph.
# Both run in turn, ROUNDS times (default 5) for SECONDS each (default 1.2); what is printed are medians of the rounds.

set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/../.." || exit 1
rounds=${1:-5}
seconds=${2:-1.2}
build=${ADTOOL_BUILD:-build}
shared=${ADTOOL_SHARED:-../shared}
forward=$build/tests/tools/forward
adtool=$build/bin/adtool
report=$build/bench.txt
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

peer=
if ! command -v node >/dev/null; then
	echo 'bench: no peer: node is not installed'
elif NODE_PATH=${ADTOOL_ORT:-none}/node_modules node -e 'require("onnxruntime-node")' 2>/dev/null; then
	peer=1
	NODE_PATH=$ADTOOL_ORT/node_modules
	export NODE_PATH
else
	echo 'bench: no peer: ONNX Runtime was not found. To get it:'
	echo '  npm install --ignore-scripts --prefix DIR onnxruntime-node && ADTOOL_ORT=DIR make bench'
fi

{
	grep -m1 'model name' /proc/cpuinfo 2>/dev/null | sed 's/.*: /CPU: /'
	echo "CPUs: $(getconf _NPROCESSORS_ONLN), load $(cut -d' ' -f1 /proc/loadavg)"
	"$adtool" --version -v | grep -E '^(adtool|compiler|kernels)'
	[ -z "$peer" ] || echo "ONNX Runtime $(node -p 'require("onnxruntime-node/package.json").version')"
	for threads in 1 2; do
		"$forward" peak $threads >"$work/peak-$threads"
		echo "multiply-add peak of $threads threads: $(cat "$work/peak-$threads") GFLOP/s"
	done
} | tee "$report"

# name file layer
list() {
	echo "adnet lib/net/adnet.onnx layer16"
	for b in 'resnet50-conv4 layer3' 'densenet169 conv5' 'mobilenet_v2 s16'; do
		set -- $b
		[ ! -e "$shared/backbones/$1.onnx" ] || echo "$1 $shared/backbones/$1.onnx $2"
	done
}

# name layer threads batch key, of each case; the key names what is measured of it
cases() {
	list | while read -r name _file layer; do
		for threads in 1 2; do
			for batch in 1 8; do
				echo "$name $layer $threads $batch $name.$threads.$batch"
			done
		done
	done
}
# peer_ms KEY: the peer's median, nothing without a peer
peer_ms() { [ -z "$peer" ] || median <"$work/peer.$1"; }

# value KEY: the value of KEY=value in the line on stdin
value() { sed -n "s/.*\\b$1=\\([0-9.]*\\).*/\\1/p"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 : 0 }'; }

list | while read -r name file layer; do
	"$adtool" backbone cut "$file" --layer "$layer" -o "$work/$name.onnx" >/dev/null || exit 1
done

round=0
while [ $round -lt "$rounds" ]; do
	round=$((round + 1))
	cases | while read -r name layer threads batch key; do
		"$forward" time "$work/$name.onnx" "$layer" 224 $batch $threads "$seconds" >"$work/line" || exit 1
		value median_ms <"$work/line" >>"$work/ours.$key"
		value gflop <"$work/line" >"$work/gflop.$key"
		for narrow in int8 bf16; do
			"$forward" $narrow time "$work/$name.onnx" "$layer" 224 $batch $threads "$seconds" |
				value median_ms >>"$work/$narrow.$key"
		done
		[ -z "$peer" ] || node tests/bench/peer.js "$work/$name.onnx" 224 $batch $threads "$seconds" |
			value median_ms >>"$work/peer.$key"
	done
	[ ! -t 2 ] || printf '\rround %d of %d ' "$round" "$rounds" >&2
done
[ ! -t 2 ] || printf '\r                \r' >&2

{
	echo
	printf '%-16s %-8s %7s %5s %9s %11s %9s %8s %9s %6s\n' backbone layer threads batch ms pictures/s GFLOP/s 'of peak' \
		'peer ms' ratio
	cases | while read -r name layer threads batch key; do
		awk -v name="$name" -v layer="$layer" -v threads="$threads" -v batch="$batch" \
			-v ms="$(median <"$work/ours.$key")" -v gflop="$(cat "$work/gflop.$key")" \
			-v peak="$(cat "$work/peak-$threads")" -v theirs="$(peer_ms "$key")" 'BEGIN {
			rate = gflop / ms * 1000
			printf "%-16s %-8s %7d %5d %9.3f %11.1f %9.1f %6.0f %% ", name, layer, threads, batch, ms,
				1000 / ms, rate, 100 * rate / peak
			if (theirs > 0) printf "%9.3f %6.2f\n", theirs, theirs / ms
			else printf "%9s %6s\n", "-", "-" }'
	done
} | tee -a "$report"

# What 8 bits and bfloat16 are worth, whether or not a model in them would be accepted: the ratio is to the peer in float32.
for narrow in int8 bf16; do
	echo
	printf '%-16s %-8s %7s %5s %9s %11s %9s %6s\n' "in $narrow" layer threads batch ms pictures/s 'peer ms' ratio
	cases | while read -r name layer threads batch key; do
		awk -v name="$name" -v layer="$layer" -v threads="$threads" -v batch="$batch" \
			-v ms="$(median <"$work/$narrow.$key")" -v theirs="$(peer_ms "$key")" 'BEGIN {
			printf "%-16s %-8s %7d %5d %9.3f %11.1f ", name, layer, threads, batch, ms, 1000 / ms
			if (theirs > 0) printf "%9.3f %6.2f\n", theirs, theirs / ms
			else printf "%9s %6s\n", "-", "-" }'
	done
done | tee -a "$report"

# row RUNS NAME COMMAND...: the median of so many runs by wall time
row() {
	_runs=$1
	_name=$2
	shift 2
	: >"$work/rows"
	for _i in $(seq "$_runs"); do
		if ! "$forward" command "$@" 2>"$work/err" >"$work/out" </dev/null; then
			echo "$_name: failed: $(tail -n 1 "$work/err")"
			return
		fi
		tail -n 1 "$work/out" >>"$work/rows"
	done
	sort -t= -k2,2n "$work/rows" | sed -n $(((_runs + 1) / 2))p | awk -v name="$_name" '{
		for (i = 1; i <= NF; i++) { split($i, a, "="); v[a[1]] = a[2] }
		printf "%-52s %9.4f %9.4f %9.1f\n", name, v["wall_s"], v["cpu_s"], v["peak_mb"] }'
}

{
	echo
	printf '%-52s %9s %9s %9s\n' command 'wall s' 'CPU s' 'peak MB'
	"$build/tests/tools/draw_jpegs" "$work/jpegs" 1000 1000 750
	"$build/examples/draw_samples" "$work/set" --train 240 --normal 0 --each 0 >/dev/null
	tiles=$work/set/train/normal
	list | while read -r name file layer; do
		row 3 "train on 240 pictures, $name" "$adtool" train "$tiles" -q --backbone "$file" --layer "$layer" \
			-o "$work/$name.zip"
		"$adtool" score -q -m "$work/$name.zip" "$work/jpegs/0000.jpg" >/dev/null 2>&1 </dev/null
		row 41 "score one JPEG, cold, $name" "$adtool" score -q -m "$work/$name.zip" "$work/jpegs/0000.jpg"
		row 3 "score 1000 JPEGs of 1000x750, $name" "$adtool" score -q -m "$work/$name.zip" "$work/jpegs"
		# Where the forward pass is shortest, heat maps weigh most.
		[ "$name" != adnet ] ||
			row 3 "the same with heat maps, $name" "$adtool" score -q -m "$work/$name.zip" --heatmap "$work/maps" "$work/jpegs"
	done
} | tee -a "$report"
echo "kept in $report"
