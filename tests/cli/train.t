#!/bin/sh
# adtool train.
. "${0%/*}/lib.sh"

draw d --train 20 --normal 2 --each 1 --size 64
good=d/train/normal

# What differs from machine to machine and from run to run.
expect_filter() {
	sed -e 's/[0-9]*\.[0-9]*e*[-+0-9]* %/P %/' -e '/^seconds/s/[0-9]*\.[0-9][0-9]/S/g' \
		-e '/^threshold/s/above [^ ]*/above T/' -e '/^model/s/[0-9.]* [kM]B/SIZE/' -e '/^memory/s/[0-9.]* [kMG]B/SIZE/' \
		-e 's/^\(worst  *\|             \)[-+.0-9e]* (p [-+.0-9e]*)  .*/\1SCORE (p P)  NAME/' \
		-e '/^arena/s/[0-9.]* [kMG]B/SIZE/' -e '/^weights/s/[0-9.]* [kMG]B/SIZE/' -e '/^threads/s/[0-9][0-9]*/N/' -e 's/k = [0-9]*/k = K/'
}
run_expect plain 0 adtool train "$good"
ok 'model.zip is the default' test -f model.zip
run_expect verbose 0 adtool train -v -j 2 --components 5 -o five.zip "$good"
run_expect quiet 0 adtool train -q -o quiet.zip "$good"
run_expect ppca 0 adtool train --method ppca -o ppca.zip "$good"
run_expect enough 0 adtool train --alpha 0.1 -o enough.zip "$good"
expect_filter() { cat; }

same 'two runs give the same bytes' model.zip quiet.zip
run adtool train -q -j 1 -o one.zip "$good"
run adtool train -q -j 4 -o four.zip "$good"
same '-j 1 and -j 4 give the same bytes' one.zip four.zip
same '-j 1 and the default give the same bytes' one.zip model.zip
run adtool train -q --method ppca -j 1 -o ppca1.zip "$good"
run adtool train -q --method ppca -j 3 -o ppca3.zip "$good"
same 'ppca: -j 1 and -j 3 give the same bytes' ppca1.zip ppca3.zip

# What is read does not matter, only what it holds.
run adtool train -q -o list.zip $good/*.png
same 'files one by one equal their folder' list.zip model.zip
ls $good/*.png | sort -r >names
run adtool train -q -o stdin.zip - <names
exits 'a list on stdin' 0
tar -C d/train -czf good.tar.gz normal
run adtool train -q -o tar.zip good.tar.gz
exits 'an archive' 0
adtool score -q -m model.zip d/test | cut -f 2- >from-folder
adtool score -q -m tar.zip d/test | cut -f 2- >from-tar
same 'an archive teaches what the folder teaches' from-tar from-folder
adtool score -q -m stdin.zip d/test | cut -f 2- >from-stdin
same 'a list in another order teaches the same' from-stdin from-folder

# What is not ours is not replaced.
echo 'my notes' >notes.txt
run_expect not-a-model 128 adtool train -o notes.txt "$good"
is 'the other file is as it was' "$(cat notes.txt)" 'my notes'
run_expect not-a-folder 128 adtool train -o gone/m.zip "$good"
run_expect a-folder 128 adtool train -o d "$good"
run adtool train -q --force -o notes.txt "$good"
exits '--force replaces it' 0
same '--force replaces it with a model' notes.txt model.zip
run adtool train -q --energy 0.9 -o notes.txt "$good"
exits 'a model is replaced without --force' 0
: >empty
run adtool train -q -o empty "$good"
exits 'an empty file is replaced' 0

# Too few, or none that can be read.
mkdir two none
cp $good/000.png $good/001.png two/
run_expect two 128 adtool train -o two.zip two
run_expect none 128 adtool train -o none.zip none
run_expect gone 128 adtool train -o gone.zip gone
ok 'no model was written' test ! -e two.zip -a ! -e none.zip -a ! -e gone.zip
cp $good/002.png two/
run adtool train -q -o three.zip two
exits 'three will do' 0

# One bad picture in the middle.
cp -r $good bad
head -c 700 $good/010.png >bad/009a.png
echo 'no picture' >bad/012a.jpg
echo 'no picture' >bad/readme.txt
run adtool train -o bad.zip bad
exits 'two bad pictures: status 2' 2
out_like 'two bad pictures: counted' '^pictures +20 used, 2 refused; 1 files that are no pictures$'
err_like 'the damaged one is named' '^adtool: bad/009a\.png: .'
err_like 'the other one is named' '^adtool: bad/012a\.jpg: .'
is 'each once' "$(wc -l <"$ERR" | tr -d ' ')" 2
adtool score -q -m bad.zip d/test | cut -f 2- >from-bad
same 'the others teach what they teach alone' from-bad from-folder

# Limits.
run adtool train --memory 1M -o m.zip "$good"
exits '--memory: refused' 128
err_like '--memory: said with figures' 'need.* MiB, more than the limit of 1 MiB'
ok '--memory: no model' test ! -e m.zip
run adtool train --memory 1000 -o m.zip "$good"
err_like '--memory: less than a MiB is told, too' 'need about [0-9]+ MiB, more than the limit of 1000 bytes;'
run adtool train --grid 99 -o m.zip "$good"
exits 'a grid larger than the map' 128
err_like 'a grid larger than the map is said with figures' '99 x 99 .* 14 x 14'
run adtool train --layer nowhere -o m.zip "$good"
exits 'an unknown layer' 128
err_like 'an unknown layer is named' 'nowhere'
run adtool train --backbone nowhere -o m.zip "$good"
exits 'an unknown backbone' 128
err_like 'an unknown backbone is named' '^adtool: nowhere: '

# The same picture again and again has nothing to calibrate with.
mkdir copies
for i in 1 2 3 4 5; do cp $good/000.png copies/$i.png; done
run adtool train -o copies.zip copies
exits 'copies of one picture are refused' 128
err_like 'copies of one picture: why' '^adtool: '
ok 'copies of one picture: no model' test ! -e copies.zip

# Copies, by their bytes and by what they show; parts; the worst.
cp -r $good parts
cp $good/003.png parts/copy.png
{ cat $good/004.png; echo trailing; } >parts/near.png
run adtool train -o parts.zip parts
exits 'copies do not stop it' 0
err_like 'a copy is named' '^adtool: parts/copy\.png: has the same bytes as parts/003\.png$'
err_like 'a near copy is named' '^adtool: parts/(near|004)\.png: is nearly the same as parts/(near|004)\.png'
err_like 'they are counted' '^adtool: train: 1 copies and 1 near copies: '
out_like 'the worst held out are listed' '^worst +[0-9.]+ \(p [0-9.e-]+\)  parts/[0-9]+\.png$'
worst=$(sed -n 's/^worst .*  //p' "$OUT")
run adtool train -q -o quietly.zip parts
err_is 'copies, -q' ''
run adtool train --drop 1 -o dropped.zip parts
exits '--drop' 0
err_like '--drop: named' "^adtool: $worst: dropped; its score"
out_like '--drop: counted' '^pictures +21 used, 0 refused, 1 dropped'
ok '--drop: the model is sound' adtool info --check dropped.zip
# What does not belong at all.
cp -r $good strays
head -c 30000 /dev/zero | tr '\0' '\377' >white
{ printf 'P6 100 100 255\n'; cat white; } >strays/white.ppm
run adtool train -o strays.zip strays
err_like 'one far from all others is named' \
	'^adtool: train: strays/white\.ppm: its score when held out, [0-9.]+, is far above .*; .*--drop 1 leaves it out$'
run adtool train -q -o strays.zip strays
err_is 'not with -q' ''
run adtool train --drop 1 -o strays.zip strays
err_unlike 'nor when it is dropped' 'far above'
# Without reduced channels, which would have seen it.
worst=$(adtool train --channels 0 -o again.zip parts 2>/dev/null | sed -n 's/^worst .*  //p')
adtool train -q --channels 0 --drop 1 -o again.zip parts
cp -r parts dropping
rm "dropping/${worst#parts/}"
adtool train -q --channels 0 -o never.zip dropping
adtool score -q -m never.zip d/test >wanted
adtool score -q -m again.zip d/test >got
same '--drop: as if it had never been there' got wanted
run adtool train --drop 20 -o m.zip parts
exits '--drop of too many' 128
err_like '--drop of too many is said' 'without 20 of 22 pictures fewer than 3 are left'
run adtool train --group-by '([0-9])[0-9]\.png' -o groups.zip parts
exits '--group-by' 0
out_like '--group-by: groups' '^groups +[0-9]+, by \(\[0-9\]\)\[0-9\]'
run adtool info groups.zip
out_like '--group-by: the model keeps it' '^  groups +[0-9]+, by '
mkdir folders
cp -r $good folders/a
cp -r d/test/normal folders/b
mkdir folders/c
for i in 000 001 002; do cp d/test/anomalous/scratch/000.png folders/c/$i.png; done
run adtool train -q --group-by dir -o folders.zip folders
exits '--group-by dir' 0
like '--group-by dir: a fold each' "$(adtool info folders.zip)" '^calibration +25 scores, by refits on folds \(3\)$'
run adtool train --group-by dir -o m.zip $good
exits 'one group' 128
err_like 'one group is said' 'all 20 pictures are of one group'
run adtool train --group-by '(' -o m.zip $good
exits 'a bad expression' 129
err_like 'a bad expression is said' "^adtool: train: option '--group-by': '\\(': "

# A full disk leaves the old model, and nothing else.
mkdir disk
cp model.zip disk/m.zip
(ulimit -f 100 && exec adtool train -q --energy 0.5 -o disk/m.zip "$good") >"$OUT" 2>"$ERR"
status=$?
exits 'a full disk: status' 128
err_like 'a full disk: said' '^adtool: disk/m\.zip: .*(File too large|No space left)'
same 'a full disk: the old model stays' disk/m.zip model.zip
is 'a full disk: nothing is left behind' "$(ls -A disk)" m.zip

# kill -9 at any moment leaves the old model or the new one.
mkdir kill
cp model.zip kill/m.zip
run adtool train -q --energy 0.5 -o new.zip "$good"
not_ok 'the new model is another' cmp -s new.zip model.zip
killed=0
broken=0
for wait in 0.01 0.03 0.05 0.08 0.1 0.13 0.16 0.2 0.25 0.3; do
	cp model.zip kill/m.zip
	adtool train -q --energy 0.5 -o kill/m.zip "$good" 2>/dev/null &
	sleep $wait
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
	[ $? != 137 ] || killed=$((killed + 1))
	cmp -s kill/m.zip model.zip || cmp -s kill/m.zip new.zip || broken=$((broken + 1))
done
is 'after kill -9 the model is the old one or the new one' $broken 0
isnt 'some runs were killed before their end' $killed 0

# Pictures that may not be read.
if unprivileged test -x "$BUILD/bin/adtool-train" && unprivileged test -r "$TMP"; then
	cp -r $good locked
	chmod 000 locked/005.png
	mkdir open
	chmod 777 open
	run unprivileged adtool train -q -o open/m.zip locked
	exits 'an unreadable picture: status 2' 2
	err_is 'an unreadable picture is named' 'adtool: locked/005.png: cannot open: Permission denied'
	ok 'an unreadable picture: the others were learned from' test -f open/m.zip
	chmod 755 open
	run unprivileged adtool train -q -o open/other.zip $good
	exits 'a folder that may not be written to' 128
	err_is 'a folder that may not be written to is said before training' \
		'adtool: open/other.zip: cannot write to the folder open: Permission denied'
else
	skip 5 'cannot become another user here'
fi

# A rate that no number of pictures supports: the model must still be one.
run adtool train -q -o rare.zip --alpha 1e-300 $good
exits 'an alpha of almost nothing' 0
run adtool score -m rare.zip $good
exits 'an alpha of almost nothing: the model can be used' 0
run adtool train -q -o notes.txt/m.zip $good
exits 'a file where a folder should be' 128
err_like 'a file where a folder should be: said' '^adtool: notes\.txt/m\.zip: .*Not a directory'
run adtool train -q --backbone notes.txt/../gone.onnx $good
err_unlike 'a backbone that cannot be opened is named once' 'gone.*gone'
# OpenBLAS would ask for its buffers for ever.
if watched; then
	skip 2 'a sanitizer or valgrind itself needs the address space'
else
	(ulimit -v 300000 && exec timeout 60 adtool train -q -o small.zip "$good") >"$OUT" 2>"$ERR"
	status=$?
	exits 'an address space too small for the fit is refused' 128
	err_like 'and the message says so' 'address space is limited'
fi

done_testing
