#!/bin/sh
# adtool score.
. "${0%/*}/lib.sh"

draw d --train 20 --normal 4 --each 1 --size 64
make_png=$BUILD/tests/tools/make_png
good=d/test/normal
bad=d/test/anomalous
tab=$(printf '\t')
adtool train -q d/train/normal || exit 1

# Rows.
run adtool score $good $bad
exits 'scores' 0
err_is 'scores: stderr is empty' ''
lines 'a row a picture' 11
(find $good -name '*.png' | LC_ALL=C sort; find $bad -name '*.png' | LC_ALL=C sort) >names
cut -f 1 "$OUT" >got
same 'rows come in the order of the inputs, folders in byte order' got names
is 'four columns' "$(awk -F '\t' 'NF != 4' "$OUT")" ''
is 'a number, a share, a verdict' "$(awk -F '\t' '
	$2 !~ /^[0-9.e+-]+$/ || !($3 > 0 && $3 <= 1) || ($4 != "normal" && $4 != "anomalous")' "$OUT")" ''
cp "$OUT" rows

for j in 1 2 4; do
	run adtool score -j $j $good $bad
	same "-j $j gives the same bytes" "$OUT" rows
done

# Formats.
run adtool score --format csv $good
is 'csv: its header' "$(head -n 1 "$OUT" | tr -d '\r')" path,score,p,verdict
lines 'csv: a row a picture' 5
run adtool score --format jsonl --heatmap heat --overlay over $bad/scratch
exits 'jsonl' 0
cp "$OUT" row.json
if have_numpy; then
	ok 'jsonl: an object a row, with its keys' "$PYTHON" -c '
import json
for line in open("row.json"):
    r = json.loads(line)
    assert r["path"] == "d/test/anomalous/scratch/000.png", r
    assert r["verdict"] == ("anomalous" if r["score"] > r["threshold"] else "normal"), r
    assert 0 < r["p"] <= 1, r
    assert (r["width"], r["height"]) == (64, 64), r
    assert r["heatmap"] == "heat/d/test/anomalous/scratch/000.png.png", r
    assert r["overlay"] == "over/d/test/anomalous/scratch/000.png.png", r
    assert r["rule"] == "extrapolated", r'
else
	skip 1 'needs a Python with NumPy'
fi
# Regions and maps.
run adtool score --format jsonl --map maps $good $bad
exits '--map' 0
cp "$OUT" regions.jsonl
if have_numpy; then
	ok 'jsonl: regions are what the map has above the level' "$PYTHON" -c '
import json, numpy
seen = 0
for line in open("regions.jsonl"):
    r = json.loads(line)
    m = numpy.load(r["map"])
    assert r["map"] == "maps/" + r["path"] + ".npy", r
    assert m.shape == (7, 7) and m.dtype == numpy.float32 and (m >= 0).all(), m
    peaks = [g["peak"] for g in r["regions"]]
    assert peaks == sorted(peaks, reverse=True), r
    for g in r["regions"]:
        seen += 1
        x, y, w, h = g["box"]
        assert 0 <= x and 0 <= y and w > 0 and h > 0 and x + w <= r["width"] and y + h <= r["height"], g
        assert 0 < g["area"] <= w * h, g
        assert abs(g["share"] - g["area"] / (r["width"] * r["height"])) < 1e-12, g
        assert x <= g["peak_at"][0] < x + w and y <= g["peak_at"][1] < y + h, g
        assert g["peak"] <= m.max() * (1 + 1e-6), g
    if peaks:
        # The pixel nearest to the middle of the hottest cell is in the first region.
        i, j = numpy.unravel_index(m.argmax(), m.shape)
        px, py = (j + 0.5) * r["width"] / 7, (i + 0.5) * r["height"] / 7
        x, y, w, h = r["regions"][0]["box"]
        assert x - 1 <= px <= x + w and y - 1 <= py <= y + h, (r, i, j)
assert seen > 3, seen'
else
	skip 1 'needs a Python with NumPy'
fi
for map in heat over; do
	is "--$map: a PNG" "$(head -c 8 $map/$bad/scratch/000.png.png | od -An -tx1 | tr -d ' ')" 89504e470d0a1a0a
done
run adtool score $bad/scratch $map/$bad/scratch
exits 'heat maps can be read again' 0

# One bad picture in the middle does not stop the others.
mkdir mixed
cp $good/000.png mixed/a.png
head -c 900 $good/001.png >mixed/b.png
cp $good/002.png mixed/c.png
run adtool score mixed
exits 'a damaged picture: status 2' 2
lines 'a damaged picture: a row each' 3
is 'a damaged picture: its row' "$(sed -n 2p "$OUT")" "mixed/b.png$tab$tab${tab}error"
err_like 'a damaged picture: why' '^adtool: mixed/b\.png: .'
is 'a damaged picture: one line on stderr' "$(wc -l <"$ERR" | tr -d ' ')" 1
is 'the others are scored as ever' "$(sed -n '1p;3p' "$OUT" | cut -f 2-)" "$(sed -n '1p;3p' rows | cut -f 2-)"

# Archives and lists are folders in another form.
sed 's|^d/test/||' names | tar -C d/test -cf all.tar -T -
gzip -k all.tar
run adtool score all.tar.gz
exits 'tar.gz' 0
cut -f 2- "$OUT" >got
cut -f 2- rows >wanted
same 'a tar.gz gives what its folder gives' got wanted
like 'members are named' "$(head -n 1 "$OUT")" '^all\.tar\.gz:normal/000\.png	'
if have zip; then
	(cd d/test && zip -qr ../../all.zip normal/*.png anomalous)
	run adtool score all.zip
	exits 'zip' 0
	sort "$OUT" | cut -f 2- | sort >got
	sort wanted >sorted
	same 'a zip gives what its folder gives' got sorted
else
	skip 2 'needs zip'
fi
run adtool score - <names
same 'a list on stdin gives the same rows' "$OUT" rows
tr '\n' '\0' <names >names0
run adtool score -0 - <names0
tr '\0' '\n' <"$OUT" >got
same 'a list with NUL gives the same rows, each with a NUL' got rows

# A row is out before the next path is in.
mkfifo fifo
adtool score - <fifo >slow 2>/dev/null &
exec 4>fifo
sed -n 1p names >&4
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -s slow ] && break
	sleep 0.2
done
is 'the first row is out while the list is still open' "$(cat slow)" "$(sed -n 1p rows)"
sed -n 2p names >&4
exec 4>&-
wait $!
is 'and the second follows' "$(sed -n 2p slow)" "$(sed -n 2p rows)"

# Names as they may be.
mkdir odd
cp $good/000.png "odd/a b.png"
cp $good/000.png "odd/$(printf 'c\td').png"
cp $good/000.png "odd/$(printf 'e\nf').png"
cp $good/000.png 'odd/g\h.png'
cp $good/000.png "odd/i'\"j.png"
cp $good/000.png "odd/$(printf 'k\377').png"
mkdir dashes
cp $good/000.png dashes/--format
run adtool score odd
exits 'odd names' 0
lines 'odd names: a row each' 6
is 'odd names: escaped' "$(cut -f 1 "$OUT" | head -n 5)" "odd/a b.png
odd/c\\td.png
odd/e\\nf.png
odd/g\\\\h.png
odd/i'\"j.png"
find odd -name '*.png' -print0 | LC_ALL=C sort -z >odd0
run adtool score -0 - <odd0
exits 'odd names in a list' 0
cp "$OUT" odd.out
is 'odd names in a list: a row each' "$(tr -cd '\0' <odd.out | wc -c | tr -d ' ')" 6
if have_numpy; then
	ok 'odd names in a list: as they are' "$PYTHON" -c '
rows = [r.rsplit(b"\t", 3) for r in open("odd.out", "rb").read().split(b"\0")[:-1]]
names = open("odd0", "rb").read().split(b"\0")[:-1]
assert [r[0] for r in rows] == names, rows
assert all(r[3] in (b"normal", b"anomalous") and float(r[1]) > 0 for r in rows), rows'
	run adtool score --format csv odd
	cp "$OUT" odd.csv
	ok 'odd names in csv: as they are' "$PYTHON" -c '
import csv
rows = list(csv.reader(open("odd.csv", encoding="utf-8", errors="surrogateescape", newline="")))
names = open("odd0", encoding="utf-8", errors="surrogateescape", newline="").read().split("\0")[:-1]
assert [r[0] for r in rows] == ["path"] + names, rows
assert all(len(r) == 4 for r in rows), rows'
	run adtool score -0 --format jsonl - <odd0
	cp "$OUT" odd.jsonl
	ok 'odd names in jsonl: without loss, a line each, with -0 too' "$PYTHON" -c '
import base64, json
rows = [json.loads(line) for line in open("odd.jsonl", "rb")]
names = open("odd0", "rb").read().split(b"\0")[:-1]
assert [base64.b64decode(r["path_bytes"]) if "path_bytes" in r else r["path"].encode() for r in rows] == names, rows'
else
	skip 3 'needs a Python with NumPy'
fi
cd dashes || exit 1
run adtool score -m ../model.zip -- --format
exits 'a name like an option, after --' 0
cd .. || exit 1

# Which model.
mkdir elsewhere
run_expect no-model 128 adtool score -m gone.zip $good
cd elsewhere || exit 1
run_expect no-default 128 adtool score ../$good
ADTOOL_MODEL=../model.zip
export ADTOOL_MODEL
run adtool score ../$good
exits 'ADTOOL_MODEL names it' 0
unset ADTOOL_MODEL
cd .. || exit 1
cp model.zip elsewhere/moved.bin
run adtool score -m elsewhere/moved.bin $good $bad
same 'a model that was moved scores the same' "$OUT" rows
head -c 5000 model.zip >elsewhere/model.zip
run adtool score -m elsewhere/model.zip $good
exits 'a model cut short' 128
err_like 'a model cut short is named' '^adtool: elsewhere/model\.zip: .'
run adtool score -m $good/000.png $good
exits 'a model that is a picture' 128

# The decision.
run adtool score --threshold -1 $good
exits 'without --exit-code' 0
is '--threshold: all are above' "$(cut -f 4 "$OUT" | sort -u)" anomalous
run adtool score --threshold -1 --exit-code $good
exits '--exit-code' 1
run adtool score --threshold 1e9 --exit-code $good
exits '--exit-code, nothing anomalous' 0
is '--threshold: none is above' "$(cut -f 4 "$OUT" | sort -u)" normal
run adtool score --threshold -1 --exit-code mixed
exits 'status 2 goes before 1' 2
run adtool score --alpha 0.5 $good $bad
cut -f 1,2 "$OUT" >got
cut -f 1,2 rows >wanted
same '--alpha changes no score' got wanted
is '--alpha: verdict and p agree' "$(awk -F '\t' '($3 <= 0.5) != ($4 == "anomalous")' "$OUT")" ''

err_is '--alpha within the calibration: nothing to say' ''
for format in tsv csv; do
	run adtool score --format $format --alpha 0.001 $good $bad
	err_is "--alpha beyond the calibration, $format: said once" \
		"adtool: score: the limit is extrapolated: $(adtool info | sed -n 's/^calibration  *\([0-9]*\).*/\1/p') calibration pictures cannot support alpha 0.001; 999 would"
done
run adtool score -q --alpha 0.001 $good
err_is '--alpha beyond the calibration, -q: not said' ''
run adtool score --format jsonl --alpha 0.001 $good
err_is '--alpha beyond the calibration, jsonl: the rows say it' ''
is '--alpha beyond the calibration, jsonl: in each row' "$(grep -c '"rule":"extrapolated"' "$OUT")" "$(wc -l <"$OUT" | tr -d ' ')"

# What is there, but no picture; what is not there.
echo text >text.png
run adtool score text.png gone.png $good/000.png
exits 'no pictures among the inputs' 2
is 'no pictures among the inputs: rows' "$(cut -f 1,4 "$OUT")" "text.png${tab}error
gone.png${tab}error
$good/000.png${tab}normal"
err_like 'what is not there is said' '^adtool: gone\.png: .*No such file'
mkdir empty
run adtool score empty
exits 'an empty folder' 0
err_is 'an empty folder is remarked' 'adtool: score: no pictures found (0 files passed over)'
mkdir noted
echo text >noted/notes.txt
run adtool score noted
err_is 'a folder with one other file' 'adtool: score: no pictures found (1 file passed over)'
rm -r noted
run adtool score -q empty
err_is 'an empty folder, -q' ''

# Sizes.
mkdir sizes
"$make_png" 1 1 sizes/tiny.png
"$make_png" 20000 20000 sizes/huge.png
"$make_png" 1 3000 sizes/thin.png
run adtool score sizes
exits 'a picture beyond the limit' 2
is 'tiny and thin are scored, huge is not' "$(cut -f 1,4 "$OUT" | sed 's/anomalous/scored/; s/normal/scored/')" \
	"sizes/huge.png${tab}error
sizes/thin.png${tab}scored
sizes/tiny.png${tab}scored"
err_like 'the limit is said' '^adtool: sizes/huge\.png: .*178956970'

# Unreadable.
if unprivileged test -x "$BUILD/bin/adtool-score" && unprivileged test -r "$TMP/model.zip"; then
	cp -r mixed locked
	cp $good/001.png locked/b.png
	chmod 000 locked/b.png
	run unprivileged adtool score locked
	exits 'an unreadable picture: status 2' 2
	err_is 'an unreadable picture is named' 'adtool: locked/b.png: cannot open: Permission denied'
	is 'an unreadable picture: an error row' "$(cut -f 4 "$OUT" | sed -n 2p)" error
	lines 'an unreadable picture: the others are scored' 3
else
	skip 4 'cannot become another user here'
fi

# Where the rows go.
run sh -c 'adtool score d >/dev/full'
exits 'a full disk' 128
err_is 'a full disk is said once' 'adtool: stdout: No space left on device'
case $BUILD in
*/tsan) skip 1 'a file that may not grow: ThreadSanitizer writes a file of its own when a program starts' ;;
*)
	{
		(ulimit -f 0 && exec adtool score d >capped)
		echo "status $?"
	} 2>&1 | cat >"$ERR"
	err_is 'a file that may not grow' 'adtool: stdout: File too large
status 128'
	;;
esac
{
	adtool score d d d d 2>"$ERR"
	echo $? >code
} | true
status=$(cat code)
exits 'a closed pipe ends it as other programs' 141
err_is 'a closed pipe: nothing to say' ''
is 'the head of a pipe' "$(adtool score $good 2>"$ERR" | head -n 1)" "$(head -n 1 rows)"
err_is 'the head of a pipe: nothing to say' ''
run adtool score --heatmap /dev/null/x $good
exits 'heat maps that cannot be written' 128
err_like 'heat maps that cannot be written: where' '^adtool: .*/dev/null/x'
adtool train -q --method ppca -o ppca.zip d/train/normal
run_expect ppca-heatmap 128 adtool score -m ppca.zip --heatmap h $good
run adtool score -m ppca.zip --map h $good
exits 'ppca has no maps to write' 128
run adtool score -m ppca.zip --format jsonl $good
out_unlike 'ppca has no regions' regions
run adtool score --map /dev/null/x $good
exits 'maps that cannot be written' 128
err_like 'maps that cannot be written: where' '^adtool: .*/dev/null/x'

# A name that leaves no room for an ending.
mkdir longnames
longest=$(printf '%0251d.png' 0)
cp "$(find set d good . -name '*.png' 2>/dev/null | head -n 1)" "longnames/$longest"
run adtool score --heatmap longmaps longnames
exits 'the heat map of a picture with the longest name' 0
is 'the heat map of a picture with the longest name: there' "$(ls longmaps/longnames | wc -l | tr -d ' ')" 1

# Pictures x and x.png/y, and a path that there cannot be.
mkdir -p meet/x.png
cp $good/001.png meet/x
cp $good/001.png meet/x.png/y
run adtool score -q --heatmap met --map met meet meet/x
exits 'heat maps of x and x.png/y do not meet' 0
is 'heat maps of x and x.png/y: all are there' "$(find met -type f | sort | tr '\n' ' ')" \
	'met/meet/x.npy met/meet/x.png met/meet/x.png_/y.npy met/meet/x.png_/y.png '
if have_numpy; then
	"$PYTHON" - "$good/001.png" <<'END'
import sys, tarfile, io
data = open(sys.argv[1], 'rb').read()
with tarfile.open('long.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
    for name in ['/'.join(['d' * 200] * 25) + '/a.png', 'b.png']:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
END
	run adtool score --heatmap far long.tar
	exits 'a member with too long a path for its heat map' 2
	is 'a member with too long a path: one error row' "$(cut -f 4 "$OUT" | sed 's/anomalous/scored/; s/normal/scored/' | tr '\n' ' ')" \
		'error scored '
	err_like 'a member with too long a path: said' 'its png would be at a path of [0-9]* bytes, and 4095 are possible$'
else
	skip 3 'needs Python'
fi
done_testing
