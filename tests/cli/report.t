#!/bin/sh
# Reports: --report of train, score and eval; the page in a real browser.
. "${0%/*}/lib.sh"

draw d --train 20 --normal 6 --each 2 --size 64
good=d/test/normal
bad=d/test/anomalous

run adtool train d/train/normal --report trained
exits 'train --report' 0
ok 'train: the page' test -s trained/index.html
ok 'train: the histogram' test -s trained/hist.svg
not_ok 'train: no curves' test -e trained/roc.svg
is 'train: every picture was held out, and is shown with its heat map' "$(grep -c 'alt="Heat map' trained/index.html)" 20

# What does not belong is what the training page shows first.
mkdir mixed
cp d/train/normal/*.png mixed
cp $bad/missing/001.png mixed/odd.png
head -c 900 $good/001.png >mixed/broken.png
run adtool train mixed -o mixed.zip --report mixed-page
exits 'train --report, one picture damaged' 2
is 'train: the worst first' "$(sed 's/<wbr>//g' mixed-page/index.html | grep -o 'class="name">[^<]*' | sed -n '1s/.*>//p')" mixed/odd.png
is 'train: what could not be read' "$(grep -c '<bdi>mixed/broken.png</bdi>' mixed-page/index.html)" 1
cp mixed-page/index.html first.html
adtool train -q -j 1 mixed -o mixed.zip --report mixed-page 2>/dev/null
is 'train: the same pictures whatever the threads' "$(grep -c '^<li class="card"' first.html)
$(grep '^<li class="card"' first.html | cksum)" "$(grep -c '^<li class="card"' mixed-page/index.html)
$(grep '^<li class="card"' mixed-page/index.html | cksum)"
# Those known from the old model alone have no pixels to show.
adtool train -q --keep-stats d/train/normal -o kept.zip
run adtool train -q --update kept.zip $good --report updated
exits 'train --update --report' 0
is 'train --update: the new pictures are shown' "$(grep -c 'alt="Heat map' updated/index.html)" 6
run adtool train -q --memory 200M --drop 1 d/train/normal -o dropped.zip --report dropped
is 'train --drop: it is not shown' "$(grep -c 'alt="Heat map' dropped/index.html)" 19

# Names that would be markup, or worse, if they were not escaped.
cp -r $bad evil
mv evil/scratch 'evil/"><svg onload=document.title="owned">'
cp $good/000.png 'evil/<img src=x onerror=document.title="owned">.png'
cp $good/000.png "evil/&lt;b&gt;'\"\`.png"
cp $good/000.png "evil/$(printf 'k\377\033[31m\342\200\256gnp').png"
head -c 900 $good/001.png >'evil/<script>document.title="owned"<!--.png'

run adtool eval --normal $good --anomalous evil --report page
exits 'eval --report, one picture damaged' 2
for file in index.html hist.svg roc.svg pr.svg; do
	ok "eval: $file" test -s page/$file
done
is 'no name is markup' "$(grep -c -e '<img src=x' -e '<svg onload' -e '<script>document' page/index.html)" 0
is 'the policy names no source but data' "$(grep -o "default-src 'none'; img-src data:" page/index.html)" \
	"default-src 'none'; img-src data:"
is 'nothing points elsewhere' "$(grep -o -E '(src|href)="[^"d][^"]{0,40}' page/index.html)" ''

run adtool eval --format json --normal $good --anomalous evil
cp "$OUT" eval.json
is "eval: AUROC's interval is on the page" \
	"$(sed -n '/<dt>AUROC/p' page/index.html | grep -o '95 % interval [0-9.]* to [0-9.]*' | tr -dc '0-9. ' | xargs)" \
	"95 $(sed -n 's/.*"auroc_interval": \[\(.*\), \(.*\)\].*/\1 \2/p' eval.json | xargs printf '%.4f %.4f')"
adtool score $good >normal.tsv 2>/dev/null
adtool score evil >anomalous.tsv 2>/dev/null
run adtool score $good $bad --report scored
exits 'score --report' 0
lines 'score --report: the rows as ever' 20
ok 'score: the page' test -s scored/index.html
not_ok 'score: no curves' test -e scored/roc.svg
run adtool score --threshold -1 $good --report all
is 'score: the threshold given by hand' "$(grep -o 'given by hand' all/index.html)" 'given by hand'

# A second, softer limit.
adtool threshold --alpha 0.1 --warn 0.6 -o warned.zip >/dev/null
adtool score -m warned.zip $good $bad >warned.tsv 2>/dev/null
run adtool score -m warned.zip $good $bad --report warned
exits 'a softer limit: score --report' 0
is 'a softer limit: as many are suspect as the rows say' "$(grep -o 'id="u-suspect">[0-9]*' warned/index.html | cut -d '>' -f 2)" \
	"$(awk -F '\t' '$4 == "suspect"' warned.tsv | wc -l)"
not_ok 'without one none is called so' grep -q 'called suspect' scored/index.html
run adtool eval --bootstrap 0 --normal $good --anomalous $bad --report bare
not_ok 'eval: no interval without resamples' grep -q '95 % interval' bare/index.html

adtool train -q --method ppca -o ppca.zip d/train/normal
run adtool eval -m ppca.zip --normal $good --anomalous $bad --report ppca
exits 'ppca, which has no heat maps' 0
is 'ppca: pictures alone' "$(grep -c 'alt="Heat map' ppca/index.html)" 0

: >file
run adtool score $good --report file
exits 'a file where the folder should be' 128
err_like 'it is named' '^adtool: file: '
out_is 'it is said before any row' ''

if have_numpy; then
	for svg in page/hist.svg page/roc.svg page/pr.svg trained/hist.svg scored/hist.svg; do
		ok "$svg is XML" "$PYTHON" -c 'import sys, xml.dom.minidom as m
root = m.parse(sys.argv[1]).documentElement
assert root.tagName == "svg" and root.namespaceURI == "http://www.w3.org/2000/svg"' $svg
	done
else
	skip 5 'needs Python'
fi

if ! have chromium || ! have chromedriver; then
	skip 1 'needs chromium and chromedriver'
elif ! have_numpy; then
	skip 1 'needs Python'
else
	run "$PYTHON" -B "$HERE/look.py"
	exits 'the browser' 0
	while IFS= read -r line; do
		case $line in
		'ok '*) pass "browser: ${line#ok }" ;;
		'not ok '*) fail "browser: ${line#not ok }" ;;
		*) diag "$line" ;;
		esac
	done <"$OUT"
fi
done_testing
