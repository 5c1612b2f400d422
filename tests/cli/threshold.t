#!/bin/sh
# adtool threshold, and the decisions of adtool score that belong to it.
. "${0%/*}/lib.sh"

draw d --train 40 --normal 8 --each 4 --size 64
good=d/test/normal
bad=d/test/anomalous
adtool train -q d/train/normal || exit 1
cp model.zip fresh.zip

value() { sed -n "s/^threshold *anomalous above //p" "$OUT"; }
# Verdicts of the last rows, in alphabetical order, counted: "3 anomalous 5 normal".
verdicts() { cut -f 4 "$OUT" | sort | uniq -c | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'; }

# Showing changes nothing.
run adtool threshold
exits 'show' 0
lines 'show: the rule, the calibration and a table' 18
out_like 'show: the rule in force' '^  rule +extrapolated, alpha 0\.01$'
out_like 'show: the size of the calibration' '^calibration +40 scores, by refits on folds \(10\)$'
# 41 x 0.1 = 4.1: Beta(4, 37), whose mean is 4/41 and whose quantiles follow from a binomial sum.
out_like 'show: what to expect at 0.1' '^0\.1 .* 97\.6 +34\.9 \.\. 183 +9$'
out_like 'show: what to expect at 0.05' '^0\.05 .* 48\.8 +8\.96 \.\. 113 +19$'
out_like 'show: what is extrapolated' '^0\.001 .* 1 +extrapolated +999$'
same 'show changes nothing' model.zip fresh.zip
before=$(value)

# What the rules ask for is what scoring does.
run adtool threshold --alpha 0.1 model.zip
exits '--alpha' 0
out_like '--alpha: the rule' '^  rule +conformal, alpha 0\.1$'
isnt '--alpha: another threshold' "$(value)" "$before"
is '--alpha: that of the table' "$(value | xargs printf '%.3g')" "$(sed -n 's/^0\.1 *\([^ ]*\).*/\1/p' "$OUT" | xargs printf '%.3g')"
adtool score -m fresh.zip --alpha 0.1 d/test >wanted
run adtool score d/test
same '--alpha: scoring decides as with score --alpha' "$OUT" wanted
ok 'the model is sound' adtool info --check model.zip
run adtool threshold -q --alpha 0.01
exits '-q' 0
out_is '-q says nothing' ''
same 'back to where it was: the same bytes' model.zip fresh.zip

run adtool threshold --value 1.25 -o by-hand.zip
is '--value' "$(value)" 1.25
out_like '--value: the rule' '^  rule +given by hand$'
same '-o leaves the other model alone' model.zip fresh.zip
if have unzip; then
	mkdir old new
	(cd old && unzip -q ../model.zip)
	(cd new && unzip -q ../by-hand.zip)
	is 'only the manifest changed' "$(diff -rq old new)" 'Files old/manifest.json and new/manifest.json differ'
else
	skip 1 'needs unzip'
fi
run adtool threshold --quantile 0.5 --factor 3 -o quantile.zip
out_like '--quantile: the rule' '^  quantile +0\.5, times 3$'
# The 20th of 40 scores; the median is the mean of the 20th and the 21st.
num '--quantile: about three medians' "$(value)" '>' 0
run adtool threshold --quantile 0 -o lowest.zip
out_like '--quantile 0: all but the lowest score lie above' '^  per 1,000 +975 false alarms'

# Labelled pictures.
run adtool threshold --tpr 1 --anomalous "$bad" -o tpr.zip
exits '--tpr' 0
out_like '--tpr: what it was set on' '^  labelled +0 normal, [0-9]+ anomalous$'
run adtool score -m tpr.zip "$bad"
is '--tpr 1 finds all' "$(cut -f 4 "$OUT" | sort -u)" anomalous
run adtool threshold --tpr 0.5 --anomalous "$bad" --normal "$good" -o half.zip
run adtool score -m half.zip "$bad"
is '--tpr 0.5 finds half' "$(($(cut -f 4 "$OUT" | grep -c anomalous) * 2))" "$(wc -l <"$OUT" | tr -d ' ')"
run adtool threshold --f1 --normal "$good" --anomalous "$bad" -o f1.zip
exits '--f1' 0
out_like '--f1: the rule' '^  rule +best F1 on labelled pictures$'
digest=$(sed -n 's/^  digest *//p' "$OUT")
like '--f1: a digest' "$digest" '^[0-9a-f]{64}$'
run adtool threshold --cost 1:10 --anomalous "$bad" --normal "$good" -o cost.zip
out_like '--cost: what it was given' '^  costs +false alarm 1, miss 10$'
is 'the same pictures have the same digest' "$(sed -n 's/^  digest *//p' "$OUT")" "$digest"
run adtool info cost.zip
out_like 'info shows the rule' '^  rule +least cost on labelled pictures$'
out_like 'info shows the digest' "^  digest +$digest\$"
run adtool threshold --alpha 0.1 cost.zip
out_unlike 'another rule forgets the labelled pictures' labelled

# Peaks over threshold need more pictures than these.
run_expect tail-few 128 adtool threshold --tail
same 'what is refused changes nothing' model.zip fresh.zip

# The second limit.
run adtool threshold --alpha 0.05 --warn 0.5 -o warn.zip
exits '--warn' 0
out_like '--warn: the limit' '^  suspect +above [0-9.]+ \(alpha 0\.5\)$'
run adtool score -m warn.zip d/train/normal "$bad"
like 'verdicts of three kinds' "$(verdicts)" '^[0-9]+ anomalous [0-9]+ normal [0-9]+ suspect$'
limit=$(adtool info warn.zip | sed -n 's/^  suspect *above \([^ ]*\) .*/\1/p')
threshold=$(adtool info warn.zip | sed -n 's/^threshold *anomalous above //p')
is 'suspect: above the one, not above the other' \
	"$(awk -F '\t' -v a="$limit" -v b="$threshold" '($2 > a && $2 <= b) != ($4 == "suspect")' "$OUT")" ''
awk -F '\t' '$4 == "suspect" { print $1 }' "$OUT" | head -n 1 >one
run adtool score -m warn.zip --exit-code - <one
is 'a suspect picture' "$(cut -f 4 "$OUT")" suspect
exits 'suspects do not count for --exit-code' 0
run adtool score -m warn.zip --format jsonl - <one
out_like 'JSON has both limits' '"threshold":[0-9.]+,"warn_threshold":[0-9.]+,"verdict":"suspect","rule":"conformal"'
run adtool score -m warn.zip --format csv - <one
out_like 'CSV has the verdict' ',suspect.?$'
run adtool score -v -m warn.zip - <one
err_like '-v counts them' '0 normal, 1 suspect, 0 anomalous'
run adtool threshold warn.zip --warn 0
out_unlike '--warn 0 removes it' suspect
run_expect warn-above 128 adtool threshold --warn 0.0001

# A batch.
run adtool score --fdr 0.2 d/test
exits '--fdr' 0
cp "$OUT" batch
adtool score d/test | cut -f 1-3 >wanted
cut -f 1-3 batch >got
same '--fdr: the same rows in the same order' got wanted
is '--fdr: as Benjamini and Hochberg have it' "$(cut -f 3,4 batch | sort -g | awk -F '\t' '
	{ p[NR] = $1; anomalous += ($2 == "anomalous") }
	END { for (k = NR; k && p[k] > 0.2 * k / NR; k--) ; print (k == anomalous && k > 0) }')" 1
run adtool score --fdr 0.2 --exit-code d/test
exits '--fdr: --exit-code' 1
run adtool score --fdr 0.2 --format jsonl d/test
out_like '--fdr: the rule' '"rule":"fdr"'
mkdir mixed
cp $good/000.png mixed/a.png
echo none >mixed/b.png
cp $bad/scratch/000.png mixed/c.png
run adtool score --fdr 0.5 mixed
exits '--fdr: an unreadable picture' 2
is '--fdr: its row stands in its place' "$(sed -n 2p "$OUT" | cut -f 1,4)" "mixed/b.png	error"
adtool threshold -q --alpha 0.1 -o ranks.zip
run adtool score -m ranks.zip --fdr 0.01 d/test
err_like '--fdr: what ranks cannot tell' '40 calibration pictures end at 0\.0244, so none can be called'
mkdir empty
run adtool score -q --fdr 0.1 empty
exits '--fdr of nothing' 0
out_is '--fdr of nothing: no rows' ''

# JSON.
run adtool threshold --format json warn.zip
if have_numpy; then
	ok '--format json is JSON, and says the same' "$PYTHON" -c '
import json, sys
t = json.load(open(sys.argv[1]))
assert t["rule"] == "conformal" and t["alpha"] == 0.05 and t["warn_alpha"] is None and t["calibration"] == 40, t
assert [r["normals_needed"] for r in t["table"]] == [9, 19, 49, 99, 199, 499, 999], t
assert abs(t["table"][0]["false_alarms"]["expected"] - 4 / 41) < 1e-15, t
assert t["table"][3]["false_alarms"]["low"] is None, t' "$OUT"
else
	skip 1 'needs a Python with NumPy'
fi

# Few pictures.
mkdir few
for i in 000 001 002; do cp d/train/normal/$i.png few/; done
adtool train -q -o few.zip few || exit 1
run adtool threshold few.zip
exits 'three pictures' 0
out_like 'three pictures: their weakness is said' '^  weak +from 3 pictures any threshold is a first guess, no more$'

# What cannot be.
run_expect no-labels 129 adtool threshold --f1 --anomalous "$bad"
run_expect labels-for-nothing 129 adtool threshold --alpha 0.1 --normal "$good"
run_expect two-rules 129 adtool threshold --alpha 0.1 --value 3
run_expect factor-alone 129 adtool threshold --factor 2
run_expect tail-value 129 adtool threshold --tail --value 2
run_expect cost 129 adtool threshold --cost 1 --normal "$good" --anomalous "$bad"
run_expect output-alone 129 adtool threshold -o other.zip
# It would be another model that is changed.
cp fresh.zip meant.zip
run adtool threshold --tpr 0.5 --anomalous "$bad" meant.zip
exits 'a model behind the pictures' 129
err_like 'a model behind the pictures: said' "^adtool: threshold: 'meant\.zip' is a model, and no pictures for --anomalous: name it before$"
same 'a model behind the pictures: it is as it was' meant.zip fresh.zip
same 'a model behind the pictures: so is the default one' model.zip fresh.zip
run adtool eval --normal "$good" --anomalous "$bad" meant.zip
exits 'eval, too' 129
run adtool threshold meant.zip --tpr 0.5 --anomalous "$bad"
exits 'before them it is the one that is changed' 0
not_ok 'it is changed' cmp -s meant.zip fresh.zip
echo notes >notes.txt
run_expect not-a-model 128 adtool threshold --alpha 0.1 -o notes.txt
run adtool threshold -q --alpha 0.1 --force -o notes.txt
ok '--force replaces it' adtool info --check notes.txt
run adtool threshold --tpr 0.9 --anomalous mixed/b.png
exits 'no labelled picture can be read' 128
err_like 'no labelled picture can be read: said' '0 normal and 0 anomalous pictures'
adtool train -q --method ppca -o ppca.zip d/train/normal || exit 1
run adtool threshold --quantile 0.9 --factor 1.5 ppca.zip
if adtool info ppca.zip | grep -q '^  scores  *-.*\.\. -'; then
	exits 'a factor on scores below 0' 128
else
	skip 1 'the scores are not below 0'
fi
same 'all this left the model as it was' model.zip fresh.zip

# A full disk, a kill: the old model or the new one.
(ulimit -f 100 && exec adtool threshold -q --alpha 0.3) >"$OUT" 2>"$ERR"
status=$?
exits 'a full disk' 128
same 'a full disk: the model is as it was' model.zip fresh.zip
is 'a full disk: nothing is left behind' "$(ls -A | grep -c 'zip\.')" 0
done_testing
