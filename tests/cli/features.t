#!/bin/sh
# adtool features.
. "${0%/*}/lib.sh"

draw d --train 4 --normal 0 --each 1 --size 64
good=d/train/normal
ls $good/*.png >wanted

run adtool features -o f.npy $good
exits 'features' 0
out_is 'features: stdout is empty' ''
err_is 'features: stderr is empty' ''
same 'names beside, in the order of the rows' f.names.txt wanted
like 'a row a picture' "$(head -c 128 f.npy | tr '\000' ' ')" "'shape': \(4, [0-9]+\)"
run adtool features -j 1 -o one.npy $good
same '-j 1 gives the same bytes' one.npy f.npy
run adtool features --grid 0 -o whole.npy $good
run adtool features --grid 7 -o cells.npy $good
run adtool features --size 128x64 --grid 0 -o wide.npy $good
run adtool features --mean 0,0,0 -o mean.npy $good
exits '--mean' 0
run adtool features --color bgr -o bgr.npy $good
run adtool features --color rgb -o rgb.npy $good
same '--color as it is anyway changes nothing' rgb.npy f.npy
run adtool features --color never --color=bgr -o never.npy $good
exits '--color never, which every command has' 0
same '--color never is not of the channels' never.npy bgr.npy
run adtool features --color maybe -o never.npy $good
exits '--color with another word' 129
if have_numpy; then
	ok 'shapes and averages' "$PYTHON" -c '
import numpy as np
f, whole, cells, wide = (np.load(n + ".npy") for n in ("f", "whole", "cells", "wide"))
assert f.dtype == np.float32 and f.ndim == 2
assert whole.shape == (4, f.shape[1], 14, 14), whole.shape
assert cells.shape == (4, f.shape[1], 7, 7), cells.shape
assert wide.shape == (4, f.shape[1], 4, 8), wide.shape
np.testing.assert_allclose(whole.mean(axis=(2, 3)), f, rtol=1e-4, atol=1e-5)
np.testing.assert_allclose(whole.reshape(4, -1, 7, 2, 7, 2).mean(axis=(3, 5)), cells, rtol=1e-4, atol=1e-5)
assert not np.allclose(np.load("mean.npy"), f)
assert not np.allclose(np.load("bgr.npy"), f)'
else
	skip 1 'needs NumPy'
fi

cp -r $good mixed
echo text >mixed/001a.png
cp $good/003.png "mixed/$(printf 'a\nb').png"
run adtool features -o mixed.npy mixed
exits 'a bad picture: status 2' 2
err_like 'a bad picture is named' '^adtool: mixed/001a\.png: .'
is 'a bad picture: no name, names stay on their line' "$(cat mixed.names.txt)" 'mixed/000.png
mixed/001.png
mixed/002.png
mixed/003.png
mixed/a\nb.png'

# What is no .npy file is nobody's to lose.
cp $good/000.png keep.png
for file in keep.png keep.txt; do
	[ -e $file ] || echo 'my notes' >$file
	cp $file before
	run adtool features -o $file nowhere
	exits "$file is not replaced" 128
	err_is "$file: said before anything is read" "adtool: $file: exists and is no .npy file; only --force replaces it"
	same "$file is as it was" $file before
done
run adtool features --force -o keep.txt $good
exits '--force replaces it' 0
same '--force: with the features' keep.txt f.npy
cp mixed.npy again.npy
run adtool features -o again.npy $good
exits 'a .npy file is replaced' 0
same 'a .npy file: with the new one' again.npy f.npy
: >made.npy
run adtool features -o made.npy $good
exits 'an empty file, as mktemp makes it, is replaced' 0
run adtool features -o d nowhere
err_is 'a folder is not replaced' 'adtool: d: is a folder'
exits 'a folder: status' 128

mkdir empty
run_expect none 128 adtool features -o none.npy empty
run adtool features -o gone/f.npy $good
exits 'no folder to write to' 128
err_is 'no folder to write to: named' 'adtool: gone/f.npy: cannot write to the folder gone: No such file or directory'
run adtool features --grid 99 -o none.npy $good
exits 'a grid larger than the map' 128
run adtool features --std 1,0,1 -o none.npy $good
exits 'a standard deviation of zero' 129
ok 'nothing was written' test ! -e none.npy -a ! -e none.names.txt
(ulimit -f 1 && exec adtool features --grid 0 -o full.npy $good) >"$OUT" 2>"$ERR"
status=$?
exits 'a full disk' 128
err_like 'a full disk is said' '^adtool: full\.npy: .*(File too large|No space left)'
is 'a full disk: nothing is left behind' "$(ls -A | grep '^full\.npy')" ''

# Killed half-way: a file without a name vanishes, where the file system has such files.
mkdir killed
adtool-features -q --size 1000x1000 -o killed/f.npy $good $good $good 2>"$ERR" &
sleep 0.4
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
if [ "$(stat -f -c %T .)" = ext2/ext3 ] && [ -d /proc/self/fd ]; then
	is 'killed: nothing is left behind' "$(ls -A killed | grep 'tmp-')" ''
else
	skip 1 'this file system may have no files without a name'
fi
done_testing
