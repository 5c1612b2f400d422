#!/bin/sh
# What is too large is refused, by a message that names the limit and its option; the rest of the job goes on.
. "${0%/*}/lib.sh"

"$BUILD/tests/fuzz/seeds" seeds
draw set --train 9 --normal 3 --each 0 --size 16
adtool train -q --backbone seeds/onnx/small.onnx --size 16x16 --grid 2 --channels 4 -o model.zip set/train/normal
cp set/test/normal/000.png one.png
tar cf three.tar set/test/normal

# refused NAME MESSAGE OPTION...: the picture or archive is an error row, and one.png is scored.
refused() {
	name=$1 message=$2
	shift 2
	run adtool score -q "$@" one.png
	exits "$name: status 2" 2
	err_like "$name: said" "$message"
	is "$name: the others go on" "$(tail -n 1 "$OUT" | cut -f 1,4 | sed 's/anomalous/scored/; s/normal/scored/')" "one.png	scored"
}
"$BUILD/tests/tools/make_png" 200 200 large.png
refused pixels '^adtool: large\.png: 200 x 200 pixels are more than the limit of 300 pixels \(--max-pixels\)$' --max-pixels 300 large.png
head -c 100000 /dev/zero >long.png
refused 'file size' '^adtool: long\.png: file of 100000 bytes, more than the limit of 51200 \(--max-file-size\)$' --max-file-size 50K long.png
tar cf long.tar long.png
refused 'member size' 'member of 100000 bytes, more than the limit of 51200 \(--max-file-size\)$' --max-file-size 50K long.tar
refused members 'archive of more than the limit of 3 members \(--max-members\)$' --max-members 3 three.tar
lines 'members: those before the limit are there' 4
refused unpacked 'archive unpacks to more than the limit of 1024 bytes \(--max-unpacked\)$' --max-unpacked 1K three.tar
mkdir -p deep/a/b
cp one.png deep/a/b/
refused depth 'a folder more than the limit of 1 levels below the input \(--max-depth\)$' --max-depth 1 deep
if have gzip; then
	head -c 80000000 /dev/zero >zeros.png
	tar cf - zeros.png | gzip -c >bomb.tar.gz
	rm zeros.png
	refused ratio 'archive unpacks to more than the limit of 20 times its [0-9]* bytes \(--max-ratio\)$' --max-ratio 20 bomb.tar.gz
	rm bomb.tar.gz
else
	skip 3 'needs gzip'
fi

run adtool score --max-model-size 1K one.png
exits 'model size' 128
err_like 'model size: said' '^adtool: model\.zip: file of [0-9]* bytes, more than the limit of 1024 \(--max-model-size\)$'
run adtool info --max-model-size 1K model.zip
exits 'model size: info' 128
run adtool backbone show --max-nodes 3 seeds/onnx/small.onnx
exits nodes 128
err_like 'nodes: said' '^adtool: seeds/onnx/small\.onnx: a graph of 6 nodes, more than the limit of 3 \(--max-nodes\)$'
run adtool backbone show --max-nodes 6 seeds/onnx/small.onnx
exits 'as many nodes as allowed' 0
run adtool train --max-nodes 3 --backbone seeds/onnx/small.onnx -o never.zip set/train/normal
exits 'nodes: train' 128
run adtool train -q --max-pixels 100 --backbone seeds/onnx/small.onnx --size 16x16 -o never.zip set/train/normal
exits 'pixels: train' 128
not_ok 'no model of refused pictures' test -e never.zip
run adtool features --max-pixels 100 -o f.npy set/test/normal
err_like 'pixels: features' 'limit of 100 pixels'

# -- hostile values ----------------------------------------------------------------------------------
for option in --max-pixels=0 --max-pixels=-1 --max-pixels=1e9 --max-file-size=x --max-members=0 --max-ratio=0 \
	--max-depth=-1 --max-depth=5000 --max-nodes=65537 --max-unpacked=99999999999T --memory=lots; do
	run adtool score $option one.png
	exits "$option" 129
done
run adtool --max-pixels 5 score one.png
exits 'the front has no limits' 129

# -- memory ------------------------------------------------------------------------------------------
# The memory of a sanitizer, or of valgrind, is beyond any such limit.
if watched; then
	skip 1 'a sanitizer or valgrind takes what it wants'
else
	"$BUILD/tests/tools/make_png" 4000 4000 huge.png
	for drawn in --heatmap --overlay --report; do
		run adtool score -q -j 2 --memory 200M $drawn drawn huge.png one.png
		exits "memory: a picture that needs more for $drawn" 2
		err_is "memory: said, $drawn" "adtool: huge.png: 4000 x 4000 pixels need more memory than is allowed, which is \
enough for 2912711 pixels (--memory)"
		lines "memory: the others go on, $drawn" 2
	done
	{ printf 'P6\n4000 4000\n255\n'; head -c 48000000 /dev/zero; } >huge.ppm
	run adtool score -q -j 2 --memory 200M huge.ppm one.png
	exits 'memory: a picture that must be whole' 2
	err_like 'memory: a picture that must be whole: said' '^adtool: huge\.ppm: 4000 x 4000 pixels need more memory'
	rm huge.ppm
	run adtool score -q -j 2 --memory 200M huge.png one.png
	exits 'memory: row by row it needs little' 0
	run adtool score -q -j 2 --memory 2G huge.png one.png
	exits 'memory: enough' 0
	run adtool score -q -j 2 --memory 1M one.png
	exits 'memory: far too little' 128
	is 'memory: far too little: one message' "$(($(wc -l <"$ERR")))" 1
	err_like 'memory: far too little: said what to do about it' '; --memory allows 1 MiB$'
	out_is 'memory: far too little: no row' ''
	adtool train -q --tiles 16x16 --backbone seeds/onnx/small.onnx --size 16x16 --grid 2 --channels 4 -o tiles.zip set/train/normal
	run adtool score -q -m tiles.zip -j 1 --memory 100M huge.png
	exits 'memory: a large picture in tiles' 0
	run adtool score -q -m tiles.zip -j 1 --memory 100M --overlay over huge.png
	exits 'memory: a large picture in tiles that is drawn over' 2
	# However many pages of a file are under way, its bytes are held once (and by who reads it).
	mkdir formats
	if ASAN_OPTIONS=detect_leaks=0 "$BUILD/tests/tools/draw_formats" formats >/dev/null 2>&1 && [ -s formats/pages.tif ]; then
		adtool score -q formats/pages.tif >pages
		cp formats/pages.tif large.tif
		head -c 80000000 /dev/zero >>large.tif
		run adtool score -q -j 4 --memory 300M large.tif
		exits 'memory: pages of a large file' 0
		sed 's|^formats/pages|large|' pages >wanted
		same 'memory: pages of a large file: their rows' "$OUT" wanted
		adtool watch -q --once --settle 0 --state large.state --no-sandbox . >/dev/null 2>&1
		is 'memory: each page has a digest of its own' \
			"$(grep '^done.*large\.tif#' large.state | cut -d ' ' -f 7 | sort -u | wc -l | tr -d ' ')" \
			"$(wc -l <pages | tr -d ' ')"
		rm large.tif
	else
		skip 3 'this build reads no TIFF'
	fi
fi
done_testing
