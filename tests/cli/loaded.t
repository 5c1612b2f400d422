#!/bin/sh
# What a running `score` has loaded: nothing that only fitting, archives or writing models need.
. "${0%/*}/lib.sh"

[ -r /proc/self/maps ] || plan_skip 'no /proc/self/maps'
draw set --train 8 --normal 2 --each 0 --size 64
adtool train -q set/train/normal -o m.zip || exit 1
adtool score -q -m m.zip set/test/normal >/dev/null || exit 1
draw_jpegs=$BUILD/tests/tools/draw_jpegs
"$draw_jpegs" jpegs 1 300 200 || exit 1

# It waits for more paths while its row is already there, so that its maps can be read.
mkfifo paths
adtool score -q -m m.zip - <paths >row &
pid=$!
exec 9>paths
echo jpegs/0000.jpg >&9
tries=0
until [ -s row ] || [ $tries -eq 600 ]; do
	sleep 0.05
	tries=$((tries + 1))
done
cp /proc/$pid/maps maps
exec 9>&-
wait $pid
is 'a row for the JPEG' "$(cut -f1 row)" jpegs/0000.jpg
like_file() { grep -q "$1" maps; }
ok 'what it needs is there, so that the list is no empty one' like_file 'libjpeg'
for library in openblas lapack libblas archive libzip libcrypto libssl libgomp gfortran tiff webp heif jxl; do
	not_ok "$library is not loaded" like_file "$library"
done
done_testing
