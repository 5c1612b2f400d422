#!/bin/sh
# seeds.sh BUILD FOLDER: small files to begin fuzzing with, FOLDER/TARGET/NAME, all made by programs of this build.
set -eu
build=$1
mkdir -p "$2"
to=$(cd "$2" && pwd)
here=$(cd "${0%/*}" && pwd)
case $build in /*) ;; *) build=$PWD/$build ;; esac
export PATH="$build/bin:$build/examples:$PATH" HOME="$to/home" XDG_CACHE_HOME="$to/home" ADTOOL_BACKBONES=
unset ADTOOL_MODEL SOURCE_DATE_EPOCH

"$build/tests/fuzz/seeds" "$to"
work=$to/work
rm -rf "$work"
mkdir -p "$work" && cd "$work"
for target in archive list zipdir manifest bundle rows json cli-train cli-score cli-backbone cli-eval; do
	mkdir -p "$to/$target"
done

# Pictures of every format that this build reads.
draw="$build/tests/tools/draw_formats"
if [ -x "$draw" ]; then
	mkdir drawn
	# libx265 leaks, whatever adtool does.
	ASAN_OPTIONS=detect_leaks=0 "$draw" drawn
	for picture in drawn/*; do
		case $picture in
		*.bmp | *.dib) format=bmp ;;
		*.p[bgpn]m | *.pam) format=pnm ;;
		*.tif | *.tiff) format=tiff ;;
		*.webp) format=webp ;;
		*.gif) format=gif ;;
		*.hei[cf] | *.avif) format=heif ;;
		*.jxl) format=jxl ;;
		*) continue ;;
		esac
		mkdir -p "$to/picture-$format"
		cp "$picture" "$to/picture-$format/"
	done
fi
mkdir -p "$to/mask"
cp "$to/picture-png/gray1" "$to/picture-png/rgb8" "$to/picture-jpeg/gray" "$to/mask/"

# Models on a network of six nodes.
draw_samples set --train 9 --normal 3 --each 1 --size 16 >/dev/null
train() { adtool train -q --backbone "$to/onnx/small.onnx" --size 16x16 --grid 2 --channels 4 "$@" set/train/normal; }
train -o fre.zip
train --keep-stats --group-by dir -o stats.zip 2>/dev/null || train --keep-stats -o stats.zip
adtool train -q --backbone "$to/onnx/small.onnx" --size 16x16 --method ppca --components 3 -o ppca.zip set/train/normal
adtool threshold -q --value 5 -m fre.zip -o value.zip >/dev/null 2>&1 || true
for model in *.zip; do
	cp "$model" "$to/bundle/$model"
	cp "$model" "$to/zipdir/$model"
	unzip -p "$model" manifest.json >"$to/manifest/$model.json" 2>/dev/null || true
done
if command -v zip >/dev/null; then
	mkdir -p unpacked && cd unpacked
	unzip -q ../fre.zip && zip -q -9 "$to/bundle/deflated.zip" manifest.json *.onnx *.npy
	cp "$to/bundle/deflated.zip" "$to/zipdir/"
	cd ..
fi

# Rows in every format, with every verdict.
printf 'no picture' >bad.png
adtool score -q -m fre.zip set/test bad.png >"$to/rows/tsv" 2>/dev/null || true
adtool score -q -m fre.zip --format csv set/test bad.png >"$to/rows/csv" 2>/dev/null || true
adtool score -q -m stats.zip --format jsonl set/test bad.png >"$to/rows/jsonl" 2>/dev/null || true
head -n 3 "$to/rows/tsv" >"$to/rows/short"

# Lists.
find set -name '*.png' | head -n 12 >"$to/list/lines"
find set -name '*.png' -print0 | head -c 200 >"$to/list/null"
printf '\n\na b\n\\\nlast' >"$to/list/odd"
{ head -c 70000 /dev/zero | tr '\0' a; printf '\nshort\n'; } >"$to/list/long"

# Archives.
mkdir -p members/inner
cp "$to/picture-png/gray1" members/a.png
cp "$to/picture-jpeg/gray" members/inner/b.jpg
printf 'no picture' >members/c.txt
tar cf "$to/archive/tar" members
for method in gzip xz zstd; do
	! command -v $method >/dev/null || $method -c <"$to/archive/tar" >"$to/archive/tar.$method"
done
ln -sf a.png members/link.png
tar cf "$to/archive/links.tar" members
if command -v zip >/dev/null; then
	rm members/link.png
	zip -q -r "$to/archive/zip" members
	mv "$to/archive/zip.zip" "$to/archive/zip" 2>/dev/null || true
	zip -q -0 -r "$to/archive/stored" members
	zip -q -P secret -r "$to/archive/encrypted" members
fi

# Text.
printf 'plain' >"$to/json/plain"
printf 'a"b\\c\n\t\001\177' >"$to/json/escapes"
printf '\303\244\342\202\254\360\237\230\200' >"$to/json/utf-8"
printf '\300\200\355\240\200\377\360\200\200\200\364\220\200\200' >"$to/json/ill-formed"

# Command lines, a word a line.
words() { _file=$1; shift; printf '%s\n' "$@" >"$to/$_file"; }
words cli-train/all --backbone adnet --layer y --size 16x16 --grid 2 --method fre --channels 4 --energy 0.9 --top 0.1 \
	--alpha 0.01 --seed 1 --memory 1G --color bgr --range 0..1 --mean 1,2,3 --std 1,1,1 -o m.zip -j 2 -q in
words cli-train/more --components 3 --aggregate=max --method=ppca -v -fqj3 -- -in
words cli-train/help -h
words cli-train/wrong --siz=16x --grid 0 --energy nan --memory 99999999999T --mean 1,,3
words cli-score/all -m m.zip --format jsonl --heatmap h --overlay o --map m --threshold 1e3 --exit-code -0 -j 2 in -
words cli-score/fdr --fdr 0.1 --report r --alpha 0.2 in
words cli-score/version --version -v
words cli-backbone/list list
words cli-backbone/show show --layer y adnet
words cli-backbone/help run -h
words cli-eval/all --normal a b --anomalous c -m m.zip --folds 3 --masks m --report r
rm -rf "$work" "$to/home"
