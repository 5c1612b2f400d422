#!/bin/sh
# adtool info.
. "${0%/*}/lib.sh"

draw d --train 12 --normal 0 --each 0 --size 64
adtool train -q d/train/normal || exit 1
adtool train -q --method ppca --alpha 0.2 -o ppca.zip d/train/normal || exit 1

# Numbers that depend on the machine.
expect_filter() { sed -e 's/[0-9][0-9]*\.[0-9][0-9e.+-]*/X/g' -e 's/\(components  *\)[0-9]*/\1K/' -e 's/ [0-9a-f]\{64\}$/ SHA256/'; }
run_expect fre 0 adtool info model.zip
run_expect ppca 0 adtool info ppca.zip
expect_filter() { cat; }

run adtool info model.zip
cp "$OUT" named
run adtool info
same 'model.zip is the default' "$OUT" named
run adtool info --json model.zip
exits '--json' 0
cp "$OUT" manifest.json
if have unzip; then
	unzip -p model.zip manifest.json >member.json
	is '--json is the manifest as it stands' "$(cat manifest.json)" "$(cat member.json)"
else
	skip 1 'needs unzip'
fi
if have_numpy; then
	ok '--json is JSON' "$PYTHON" -m json.tool manifest.json
else
	skip 1 'needs a Python with NumPy'
fi
run_expect check 0 adtool info --check model.zip

run_expect gone 128 adtool info gone.zip
mkdir empty
cd empty || exit 1
run_expect none 128 adtool info
cd .. || exit 1
size=$(wc -c <model.zip | tr -d ' ')
cp model.zip flipped.zip
printf '\377' | dd of=flipped.zip bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
run adtool info --check flipped.zip
exits 'a flipped byte: --check' 128
err_like 'a flipped byte: the member is named' '^adtool: flipped\.zip: .*(onnx|npy|json)'
run adtool info flipped.zip
exits 'a flipped byte: info' 128
# Members are checked side by side, and the first that is wrong is named. Far behind the network stand the components.
cp model.zip behind.zip
for file in behind.zip flipped.zip; do
	printf '\377' | dd of=$file bs=1 seek=$((size - 12000)) conv=notrunc 2>/dev/null
done
run adtool info behind.zip
err_like 'a flipped byte behind' '^adtool: behind\.zip: components\.npy: damaged: '
run adtool info flipped.zip
err_like 'both: the first is named' '^adtool: flipped\.zip: backbone\.onnx: damaged: '
done_testing
