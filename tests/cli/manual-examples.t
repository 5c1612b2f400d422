#!/bin/sh
# Every example of the manual pages runs. A page's examples run one after the other in a folder that holds what they
# name: pictures, a model, a tensor.
. "${0%/*}/lib.sh"

draw sample --train 12 --normal 4 --each 1 --size 64
mkdir folder
mv sample/train/normal folder/normal_dir
mv sample/test/normal folder/ok
mv sample/test/anomalous folder/bad
mv sample/masks folder/masks
cp -r folder/bad folder/incoming
cp folder/ok/* folder/incoming/
cp folder/bad/scratch/000.png folder/image.jpg
"$BUILD/tests/tools/draw_mask" 64x64 folder/mask.png 8,8,48,48 || exit 1
have zip && (cd folder && zip -qr batch.zip incoming)
ok 'a model for the examples' adtool train -q -o folder/model.zip folder/normal_dir

# 1 x 3 x 32 x 32 zeros.
{
	printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }"
	head -c 12288 /dev/zero
} >folder/x.npy

# The literal blocks of EXAMPLES, each to a file of its own: page.1, page.2, ...
extract() { # PAGE PREFIX
	awk -v prefix="$2" '
		/^\.Sh / { inside = $2 == "EXAMPLES" }
		!inside { next }
		/^\.Bd -literal/ { file = prefix "." ++n; next }
		/^\.Ed/ { file = ""; next }
		/^\.Dl / { print clean(substr($0, 5)) >(prefix "." ++n); next }
		file { print clean($0) >file }
		function clean(s) { gsub(/\\&/, "", s); gsub(/\\-/, "-", s); gsub(/\\e/, "\\", s); return s }' "$1"
}

mkdir tools
if have_numpy; then
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "$PYTHON")" >tools/python3
	chmod +x tools/python3
	PATH=$TMP/tools:$PATH
fi

for page in "$ROOT"/man/*.[1-9]; do
	name=${page##*/}
	rm -rf here
	cp -r folder here
	extract "$page" "$name"
	for block in "$name".[0-9]*; do
		[ -e "$block" ] || { fail "$name has examples"; continue; }
		how='sh -eu'
		! head -n 1 "$block" | grep -q '^import ' || how=python3
		if grep -q 'python3\|^import ' "$block" && ! have_numpy; then
			skip 1 "$block needs NumPy"
		elif grep -q 'batch\.zip' "$block" && ! have zip; then
			skip 1 "$block needs zip"
		elif grep -q unzip "$block" && ! have unzip; then
			skip 1 "$block needs unzip"
		else
			cd here || exit 1
			run $how "../$block"
			cd .. || exit 1
			[ "$status" = 0 ] || diag <"$block"
			exits "example $block" 0
			err_unlike "example $block: nothing goes wrong" '^adtool: |not found|rror:'
		fi
	done
done
done_testing
