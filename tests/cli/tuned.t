#!/bin/sh
# train --tune: the model says which way each convolution is computed, and for which machine that was found.
. "${0%/*}/lib.sh"

draw set --train 12 --normal 3 --each 1 --size 64
run adtool train -q -o plain.zip set/train/normal
run adtool train -q --tune -o tuned.zip set/train/normal
exits 'train --tune' 0
run adtool info tuned.zip
out_like 'info: for which machine' '^tuned +on [a-z0-9]+-[0-9a-f]{16}: this CPU$'
run adtool info plain.zip
out_unlike 'info: nothing of a model that is not' '^tuned'
run adtool info --json tuned.zip
out_like 'the manifest holds a letter for each convolution' '"ways": "[d24]+"'
run adtool info --check tuned.zip
exits 'info --check' 0

adtool score -q -m plain.zip set/test >plain.tsv
adtool score -q -m tuned.zip -j 1 set/test >tuned.tsv
adtool score -q -m tuned.zip -j 3 set/test >tuned3.tsv
same 'the same bits for any number of threads' tuned.tsv tuned3.tsv
ok 'and nearly the scores of the plain model' awk 'NR == FNR { s[$1] = $2; next }
	{ d = ($2 - s[$1]) / s[$1]; if (d > 1e-3 || d < -1e-3) bad = 1; n++ } END { exit bad || !n }' plain.tsv tuned.tsv

ADTOOL_ISA=scalar run adtool info tuned.zip
out_like 'another instruction set: it says so' '^tuned .*: another CPU, so it is computed as if it were not$'
ADTOOL_ISA=scalar run adtool score -q -m tuned.zip set/test/normal
exits 'another instruction set: it scores all the same' 0

# Ways that cannot be: the model is refused before anything is computed.
python3 - tuned.zip <<'E2' || exit 1
import json, sys, zipfile
old = zipfile.ZipFile(sys.argv[1])
for name, change in (("short", lambda w: w[1:]), ("odd", lambda w: "x" + w[1:]), ("long", lambda w: w + "d" * 600)):
    with zipfile.ZipFile(name + ".zip", "w", zipfile.ZIP_STORED) as new:
        for member in old.namelist():
            data = old.read(member)
            if member == "manifest.json":
                manifest = json.loads(data)
                manifest["tuned"]["ways"] = change(manifest["tuned"]["ways"])
                data = json.dumps(manifest)
            new.writestr(member, data)
E2
run adtool score -m short.zip set/test/normal
exits 'a letter is missing' 128
err_like 'a letter is missing: said so' '^adtool: short\.zip: .*convolutions are tuned where the graph has'
run adtool score -m odd.zip set/test/normal
exits 'an unknown letter' 128
err_like 'an unknown letter: said so' "computed by 'x'; d, 2 and 4 are known"
run adtool score -m long.zip set/test/normal
exits 'too many letters' 128
err_like 'too many letters: said so' 'tuned\.ways'
done_testing
