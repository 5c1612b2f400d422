#!/bin/sh
# adtool train --keep-stats, --update and --from.
. "${0%/*}/kept.sh"

draw d --train 36 --normal 2 --each 1 --size 64
mkdir a b
cp d/train/normal/00?.png d/train/normal/01?.png a
cp d/train/normal/02?.png d/train/normal/03?.png b

# A model that is updated has the bytes of one that saw all pictures, whatever the method; so has one in two steps, and on
# another number of threads. 10 dimensions and 36 pictures: the covariance and held-out pictures.
for options in '' '--method ppca' '--components 4 --grid 3 --seed 5 --alpha 0.2 --aggregate max' '--channels 0 --grid 2' \
	'--channels 10 --grid 1' '--layer layer8 --size 96x64 --color bgr --mean 100 --energy 0.9 --top 0.3'; do
	updates d/test $options
done
adtool train -q --keep-stats -o union.zip a b
adtool train -q --keep-stats -o m.zip b
cp m.zip old.zip
run adtool train --update m.zip -o new.zip a
exits '--update -o' 0
out_like '--update says what came from where' '^pictures +36 used, 0 refused; 16 from the old model, 0 known before$'
same '--update -o: the old model stays' m.zip old.zip
same '--update: the order of the steps does not matter' new.zip union.zip
run adtool info --check union.zip
exits 'info --check of a model with stats' 0
run adtool info union.zip
out_like 'info says that stats are kept' '^  stats +kept'
adtool train -q -o plain.zip a b
run adtool info plain.zip
out_unlike 'info does not say so of another model' '^  stats'

# The same bytes under another name are left out; other bytes under the same name take their place.
mkdir c
cp a/003.png c/copy.png
cp d/test/normal/000.png c/more.png
adtool train -q --keep-stats -o m.zip a
echo text >other.txt
run adtool train --update other.txt c
exits '--update of no model' 128
err_is '--update of no model: why' 'adtool: other.txt: not a model: it is no zip file'
is '--update of no model: it stays' "$(cat other.txt)" text
run adtool train --update m.zip c
out_like 'a known picture is left out' '^pictures +21 used, 0 refused; 20 from the old model, 1 known before$'
adtool train -q --keep-stats -o union.zip a c/more.png
same 'a known picture changes nothing' m.zip union.zip
mkdir A
cp a/003.png A/copy.png
for options in '' '--group-by .*/..([0-9])'; do
	adtool train --keep-stats $options -o union.zip a c/more.png >union.txt
	adtool train -q --keep-stats $options -o m.zip a
	adtool train --update m.zip A c/more.png >update.txt
	same "a known picture whose name comes first changes nothing: $options" m.zip union.zip
	is "nor what is said of the others: $options" "$(sed -n '/^worst/,/^model/p' update.txt | sed '$d')" \
		"$(sed -n '/^worst/,/^model/p' union.txt | sed '$d')"
done
adtool train -q --keep-stats -o m.zip a
cp a/003.png kept.png
cp d/test/normal/001.png a/003.png
run adtool train --update m.zip a/003.png
out_like 'a new picture of an old name' '^pictures +20 used, 0 refused; 19 from the old model, 0 known before$'
adtool train -q --keep-stats -o union.zip a
same 'a new picture of an old name takes its place' m.zip union.zip
cp kept.png a/003.png

# Pictures that cannot be used count as they would have.
echo 'no picture' >a/005x.png
ln -s nowhere a/006x.png
adtool train -q --keep-stats -o union.zip a b 2>/dev/null
adtool train -q --keep-stats -o m.zip a 2>/dev/null
run adtool train -q --update m.zip b
exits 'refused before: status 0' 0
err_is 'refused before: said before' ''
same 'refused before: as in the union' m.zip union.zip
echo 'no picture' >b/025x.png
adtool train -q --keep-stats -o union.zip a b 2>/dev/null
run adtool train -q --update m.zip b/025x.png
exits 'refused now: status 2' 2
same 'refused now: as in the union' m.zip union.zip
# So do those that were dropped, which are not refused.
adtool train -q --keep-stats --drop 2 -o m.zip a 2>/dev/null
run adtool train --update m.zip b/020.png
out_like 'dropped before: not refused' '^pictures +19 used, 2 refused; 18 from the old model, 0 known before$'
run adtool info m.zip
out_like 'dropped before: told of' '^  dropped +2, the worst'
run adtool train --update m.zip --drop 1 b/021.png
out_like 'dropped now' '^pictures +19 used, 2 refused; 18 from the old model, 0 known before, 1 dropped$'
run adtool info m.zip
out_like 'dropped before and now: all are told of' '^  dropped +3, the worst'
out_like 'and what was refused' '^trained on +19 pictures; 2 were refused$'
rm a/005x.png a/006x.png b/025x.png

# Names with what lines are made of.
name=$(printf 'a/x\\y\nz.png')
mv a/004.png "$name"
adtool train -q --keep-stats -o union.zip a b
adtool train -q --keep-stats -o m.zip a
run adtool train -q --update m.zip b
same 'strange names' m.zip union.zip
mv "$name" a/004.png

# --from with other options.
adtool train -q --components 5 -o five.zip a
run adtool train -q --from five.zip --alpha 0.2 --grid 3 -o other.zip b
adtool train -q --components 5 --alpha 0.2 --grid 3 -o wanted.zip b
same '--from: what is given replaces what was' other.zip wanted.zip
run adtool train -q --from five.zip --energy 0.8 -o other.zip b
adtool train -q --energy 0.8 -o wanted.zip b
same '--from: --energy in the place of --components' other.zip wanted.zip
run adtool train -q --from five.zip --backbone adnet --layer layer8 -o other.zip b
adtool train -q --components 5 --layer layer8 -o wanted.zip b
same '--from: another layer with --backbone' other.zip wanted.zip

# What is refused.
cp plain.zip before.zip
run adtool train --update plain.zip b
exits '--update without stats: refused' 128
err_is '--update without stats: what to do' 'adtool: plain.zip: keeps no stats, so it cannot be updated: train it again on all its pictures, with --from plain.zip --keep-stats'
same '--update without stats: the model stays' plain.zip before.zip
for option in '--grid 3' '--backbone adnet' '--layer layer8' '--size 32x32' '--method fre' '--color bgr' '--mean 1'; do
	run adtool train --update m.zip $option b
	exits "--update $option" 129
	err_like "--update $option: why" "'${option%% *}' does not go with '--update'"
done
run adtool train --from plain.zip --layer layer8 b
exits '--from --layer without --backbone' 129
run adtool train --from plain.zip --update m.zip b
exits '--from and --update' 129
run adtool train --update gone.zip b
exits '--update of nothing' 128
err_like '--update of nothing: named' '^adtool: gone\.zip: '
mkdir empty
run adtool train --update m.zip empty
exits '--update with nothing' 128
err_like '--update with nothing: said' 'no new picture'
run adtool train --keep-stats --memory 1M -o big.zip a
exits '--keep-stats --memory' 128

# Another threshold leaves the stats as they are; a rule without a false-alarm rate cannot be repeated.
adtool train -q --keep-stats -o m.zip a
adtool train -q --keep-stats --alpha 0.1 -o union.zip a b
run adtool threshold -q --alpha 0.1 m.zip
exits 'adtool threshold of a model with stats' 0
run adtool train -q --update m.zip b
same 'adtool threshold keeps the stats; --update takes over its alpha' m.zip union.zip
run adtool threshold -q --value 5 m.zip
for how in --update --from; do
	run adtool train -q $how m.zip -o other.zip b
	exits "$how of a threshold given by hand" 128
	err_is "$how of a threshold given by hand: said" 'adtool: train: its threshold was not set for a false-alarm rate, so one has to be given: --alpha'
done
run adtool train -q --update m.zip --alpha 0.1 b
same '--update --alpha' m.zip union.zip

# Damage to what scoring does not read shows when it is read.
if have_numpy; then
	cat >damage.py <<'PY'
import sys, zipfile
kind, source, target = sys.argv[1:]
old = zipfile.ZipFile(source)
new = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED if kind == "deflate" else zipfile.ZIP_STORED)
for name in old.namelist():
    data = bytearray(old.read(name))
    if kind == name:
        data[-5] ^= 1
    if kind != "without " + name:
        new.writestr(name, bytes(data))
new.close()
PY
	for kind in stats.npy stats.txt; do
		ok "damage to $kind" "$PYTHON" damage.py $kind m.zip damaged.zip
		run adtool score -q -m damaged.zip a
		exits "damage to $kind: scoring does not mind" 0
		run adtool train -q --update damaged.zip b
		exits "damage to $kind: --update" 128
		err_like "damage to $kind: named" "$kind: damaged"
		run adtool info --check damaged.zip
		exits "damage to $kind: info --check" 128
		"$PYTHON" damage.py "without $kind" m.zip damaged.zip
		run adtool score -q -m damaged.zip a
		exits "without $kind: refused" 128
	done
	"$PYTHON" damage.py deflate m.zip packed.zip
	adtool train -q --update m.zip d/test/normal/000.png
	run adtool train -q --update packed.zip d/test/normal/000.png
	exits 'stats packed by another tool' 0
	same 'stats packed by another tool: the same model' packed.zip m.zip
	cat >check.py <<'PY'
import hashlib, io, zipfile, numpy
z = zipfile.ZipFile("union.zip")
stats = numpy.load(io.BytesIO(z.read("stats.npy")))
lines = z.read("stats.txt").decode().splitlines()
basis, centre = (numpy.load(io.BytesIO(z.read(n))) for n in ("channels.npy", "channels_mean.npy"))
mean = numpy.load(io.BytesIO(z.read("mean.npy")))
assert stats.shape == (len(lines), 384, 7, 7)
rows = numpy.einsum("kc,nchw->nkhw", basis, stats - centre[:, None, None]).reshape(len(lines), -1)
assert numpy.abs(rows.mean(0) - mean).max() < 1e-4 * numpy.abs(rows).max()
for line in lines:
    assert hashlib.sha256(open(line[66:], "rb").read()).hexdigest() == line[:64]
PY
	adtool train -q --keep-stats -o union.zip a b
	ok 'stats.npy holds the maps, stats.txt the digests' "$PYTHON" check.py
else
	skip 15 'needs a Python with NumPy'
fi
done_testing
