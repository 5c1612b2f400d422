#!/bin/sh
# The whole of adtool once: draws sample pictures, learns from the good ones, scores the others, measures.
#
#	sh examples/demo.sh [BUILD_FOLDER]
#
# `make demo` builds and then calls this. Everything it writes is in BUILD_FOLDER/demo; a second run replaces it.

set -eu
LC_ALL=C
export LC_ALL
unset ADTOOL_MODEL

build=${1:-build}
demo=$build/demo
programs=$(cd "$build" && pwd)
PATH=$programs/bin:$programs/examples:$PATH
export PATH

mkdir -p "$demo"
(cd "$demo" && rm -rf train test masks heatmaps overlays report model.zip scores.tsv)
cd "$demo"

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
	bold='' plain=''
fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '\n  $ %s\n\n' "$*"; }
# Prints a command, runs it, sets its output off.
run() {
	show "$@"
	"$@" >output.txt || { status=$?; cat output.txt; exit "$status"; }
	sed '/./s/^/    /' output.txt
	rm -f output.txt
}

echo "adtool demo, in $demo"

step '1. Sample pictures: turned flanges on a belt, good and defective, with masks of the defects'
run draw_samples .
for folder in train/normal test/normal test/anomalous/*; do
	printf '    %3d  %s\n' "$(find "$folder" -name '*.png' | wc -l)" "$folder"
done

step '2. Learn what is normal, from good pictures only'
run adtool train train/normal

step '3. Score pictures it has never seen'
show 'adtool score test --heatmap heatmaps --overlay overlays >scores.tsv'
adtool score test --heatmap heatmaps --overlay overlays >scores.tsv
tab=$(printf '\t')
printf '    The most anomalous, and the most normal (path, score, p, verdict):\n'
sort -t "$tab" -k2,2gr scores.tsv | awk -F '\t' '
	{ row[NR] = sprintf("    %-42s %7.2f  %-8.3g  %s", $1, $2, $3, $4) }
	END { for (i = 1; i <= NR; i++) if (i <= 4 || i > NR - 3) print row[i]; else if (i == 5) print "    ..." }'

step '4. Measure, since here the answers are known'
run adtool eval --normal test/normal --anomalous test/anomalous --masks masks --report report

overlay=$(sort -t "$tab" -k2,2gr scores.tsv | head -n 1 | cut -f1)
cat <<EOF

${bold}What there is now${plain}
  the model             $demo/model.zip    (adtool info $demo/model.zip)
  the pictures' rows    $demo/scores.tsv
  heat maps             $demo/heatmaps/
  a page on all of it   $demo/report/index.html
  overlays              $demo/overlays/    (look at: $demo/overlays/$overlay.png)

${bold}What to try next${plain}
  $build/bin/adtool train YOUR_GOOD_PICTURES -o yours.zip
  $build/bin/adtool score -m yours.zip A_PICTURE.jpg
  make install PREFIX=\$HOME/.local
EOF
