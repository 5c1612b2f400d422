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
for target in archive list zipdir manifest bundle rows json; do
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

# Command lines, a word a line: each option of each command with a value of the kind that it takes, all of them, and oddities.
for program in "$build"/bin/adtool-*; do
	lines=$to/cli-${program##*-}
	mkdir -p "$lines"
	words() { _file=$1; shift; printf '%s\n' "$@" >"$lines/$_file"; }
	"$program" --list-options | awk -F '\t' -v folder="$lines" '
		$1 == "command" { n = split($2, part, " "); sub_command = n > 1 ? part[2] : ""; n = 0 }
		$1 != "option" || $2 == "h" || $3 == "help" || $3 == "version" { next }
		{
			value = $5
			gsub(/\[|\].*/, "", value)
			gsub(/[A-Z]+|\.\.\./, "1", value)
			if ($6)
				value = substr($6, 1, index($6 " ", " ") - 1)
			line = "--" $3 ($4 == "flag" ? "" : "\n" value) "\n"
			one = folder "/" (sub_command ? sub_command "-" : "") $3
			all = folder "/" (sub_command ? sub_command "-" : "") "all"
			if (!(all in seen) && sub_command)
				printf "%s\n", sub_command >all
			seen[all] = 1
			printf "%s%sin\n", sub_command ? sub_command "\n" : "", line >one
			printf "%s", line >all
			close(one)
		}'
	words help -h
	words version --version -v
	words ended -fqvj3 -- -in -
	words wrong --size 16x --mean 1,,3 --memory 99999999999T --alpha=nan --modle '' in
done
rm -rf "$work" "$to/home"
