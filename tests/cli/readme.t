#!/bin/sh
# Every `adtool ...` line of README.md's code runs as it stands there.
. "${0%/*}/lib.sh"

draw set --train 24 --normal 4 --each 1
mv set/train/normal good
mkdir test today
mv set/test/normal test/good
mv set/test/anomalous test/bad
mv set/masks test/masks
cp test/good/*.png today/
cp test/bad/dent/000.png today/dent.png
cp -R today pictures
cp test/good/000.png new.jpg
"$BUILD/tests/tools/draw_mask" 64x64 mask.png 8,8,48,48 || exit 1
ok 'a backbone of one'\''s own' adtool backbone cut "$ROOT/lib/net/adnet.onnx" --layer layer16 -o resnet50.onnx

# Those that name places outside cannot run here.
sed -n 's/^    \(adtool .*\)/\1/p' "$ROOT/README.md" | grep -v ' /' >lines.txt
num 'there are some' "$(wc -l <lines.txt)" '>=' 12
while IFS= read -r line; do
	run sh -c "$line"
	exits "$line" 0
done <lines.txt

for file in model.zip F.npy F.names.txt maps/today/000.png.png overlays/today/000.png.png; do
	ok "$file was written" test -s "$file"
done

# Files that README and CONTRIBUTING point to.
for file in $(grep -o ']([^)#:]*)' "$ROOT/README.md" | tr -d ']()'); do
	ok "README points to $file" test -e "$ROOT/$file"
done
for target in $(sed -n 's/^ *make \([a-z-]*\).*/\1/p' "$ROOT/README.md" "$ROOT/CONTRIBUTING.md" | sort -u); do
	ok "make $target" make -C "$ROOT" -n --no-print-directory "$target"
done
for package in $(sed -n '/^| package/,/^$/s/^| \([a-z0-9, +-]*\) |.*/\1/p' "$ROOT/CONTRIBUTING.md" | tr -d ','); do
	case $package in -* | package) continue ;; esac
	echo "$package"
done | sort >documented
sh "$ROOT/.ci/packages" | cut -d' ' -f1 | grep -v -E '^(gcc|libc6-dev|binutils)$' | sort >listed
same 'CONTRIBUTING names the packages of .ci/packages' documented listed
done_testing
