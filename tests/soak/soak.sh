#!/bin/sh
# soak.sh BUILD PICTURES: scores that many pictures (hard links of 300) in one process, and looks that its memory stays flat, that
# it leaks no descriptors, and that each row has the bits that the picture has alone.
set -eu
build=$1
pictures=${2:-100000}
case $build in /*) ;; *) build=$PWD/$build ;; esac
PATH=$build/bin:$build/examples:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/adtool-soak.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work"
HOME=$work XDG_CACHE_HOME=$work/cache
export HOME XDG_CACHE_HOME

draw_samples set --train 40 --normal 202 --each 14 --size 96 >/dev/null
adtool train -q -o model.zip set/train/normal
find set/test -name '*.png' | sort | head -n 300 >originals
count=$(wc -l <originals)
mkdir links
awk -v n="$pictures" -v c="$count" '{ name[NR - 1] = $0 }
	END { for (i = 0; i < n; i++) printf "%s\tlinks/%03d/%06d.png\n", name[i % c], i / 1000, i }' originals >plan
cut -f 2 plan | sed 's|/[^/]*$||' | sort -u | xargs mkdir -p
perl -F'\t' -lane 'link $F[0], $F[1] or die "$F[1]: $!"' plan

# Each one alone, in a process of its own for every tenth.
n=0
while read -r picture; do
	n=$((n + 1))
	[ $((n % 10)) = 1 ] || continue
	adtool score -q "$picture"
done <originals >alone
adtool score -q -j 1 - <originals >once
awk -F'\t' 'NR == FNR { alone[$1] = $0; next } $1 in alone && alone[$1] != $0 { print "differs: " $0; bad = 1 }
	END { exit bad }' alone once

start=$(date +%s)
cut -f 2 plan | adtool-score -q -j 2 - >rows &
pid=$!
# A pipeline's last process is what $! names.
samples=0
: >memory
while kill -0 "$pid" 2>/dev/null; do
	rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null || true)
	fds=$(ls "/proc/$pid/fd" 2>/dev/null | wc -l)
	done=$(wc -l <rows)
	[ -z "$rss" ] || [ "$fds" = 0 ] || echo "$done $rss $fds" >>memory
	samples=$((samples + 1))
	sleep 0.5
done
status=0
wait "$pid" || status=$?
seconds=$(($(date +%s) - start))
[ "$status" = 0 ] || { echo "soak: score ended with status $status"; exit 1; }

awk -F'\t' -v OFS='\t' 'FILENAME == "plan" { from[$2] = $1; next }
	FILENAME == "once" { want[$1] = $2 OFS $3 OFS $4; next }
	{ rows++; if (want[from[$1]] != $2 OFS $3 OFS $4) bad++ }
	END { printf "soak: %d rows, %d with other bits than alone\n", rows, bad; exit bad || rows == 0 }' plan once rows
[ "$(wc -l <rows)" = "$pictures" ] || { echo "soak: rows are missing"; exit 1; }
# Flat: after the first tenth, it never grows by more than a twentieth and 4 MB.
awk -v n="$pictures" -v s="$seconds" '$1 >= n / 10 { if (!first) { first = $2; fds = $3 } if ($2 > most) most = $2; last = $2
		if ($3 > fds + 4) leak = $3 }
	END {
		printf "soak: %d pictures in %d s; memory %d KiB after a tenth, %d at most, %d at the end; %d descriptors, %s\n",
			n, s, first, most, last, fds, leak ? "then " leak : "never more"
		exit !first || most > first * 1.05 + 4096 || leak
	}' memory
