#!/bin/sh
# adtool backbone.
. "${0%/*}/lib.sh"

tensor() { # FILE SHAPE BYTES
	printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($2), }" >"$1"
	head -c "$3" /dev/zero >>"$1"
}
tensor x.npy '1, 3, 64, 96' 73728

run_expect list 0 adtool backbone list
mkdir -p mine home/adtool/backbones
run adtool backbone cut adnet --layer layer8 -o mine/small.onnx
exits 'cut' 0
cp mine/small.onnx home/adtool/backbones/other.onnx
ADTOOL_BACKBONES=$TMP/mine XDG_DATA_HOME=$TMP/home run_expect list-more 0 adtool backbone list

run adtool backbone show
exits 'show' 0
out_like 'show: the default is adnet' '^name +adnet'
out_like 'show: a layer with its stride and shape' '^layer16 +/16 +[0-9]+ x 14 x 14 '
run adtool backbone show --size 320x224 --layer layer8
out_like 'show: another size, one layer' '^layer8 .* x 28 x 40 '
out_unlike 'show: only that layer' '^layer16 '
run adtool backbone show --plan --layer layer8 -j 1
exits 'show --plan' 0
out_like 'show --plan: what it ran with' '^kernels +[a-z0-9]+, 1 thread$'
out_like 'show --plan: a node with its algorithm, shape, GFLOP, time, share and speed' \
	'^(direct|pointwise|winograd-[24]x[24]) +Conv +[0-9]+x28x28 +0\.[0-9]{4} +[0-9.]+ +[0-9.]+% +[0-9.]+ '
out_like 'show --plan: the sum' '^total +0\.[0-9]{4} +[0-9.]+ 100\.0% +[0-9.]+  median of [0-9]+ runs$'
ADTOOL_ISA=scalar run adtool backbone show --plan --size 64x32 -j 2
out_like 'show --plan: the kernels asked for, another size' '^kernels +scalar, 2 threads$'
out_like 'show --plan: the shapes follow the size' ' [0-9]+x2x4 '
run adtool backbone show --plan --layer none
exits 'show --plan: no such layer' 128
err_like 'show --plan: it names those there are' "there is no layer 'none'"
cp mine/small.onnx plain
run adtool backbone show plain
exits 'a file whose name tells nothing' 128
err_like 'it says how to name it' "no backbone 'plain' among those installed .*; the file of that name is \./plain\$"
run adtool backbone show ./plain
exits 'and that is how' 0
run adtool backbone show mine/small.onnx
out_like 'show: a file' '^default layer +layer8'
out_unlike 'show: the cut file has only its layer' '^layer16 '

run adtool backbone check adnet
exits 'check' 0
out_like 'check: each layer with its shape' '^layer16: ok, 1 x [0-9]+ x 14 x 14$'
head -c 3000 mine/small.onnx >damaged.onnx
run adtool backbone check damaged.onnx
exits 'check: a damaged file' 128
err_like 'check: a damaged file is named' '^adtool: damaged\.onnx: .'
run adtool backbone check gone.onnx
exits 'check: a file that is not there' 128
run adtool backbone check --layer nowhere adnet
exits 'check: no such layer' 128
err_like 'check: no such layer is named' 'nowhere'

for j in 1 3; do
	run adtool backbone run adnet --input x.npy --layer layer8 -o whole$j.npy -j $j
	exits "run -j $j" 0
done
same 'run: -j 1 and -j 3 give the same bytes' whole1.npy whole3.npy
run adtool backbone run mine/small.onnx --input x.npy -o cut.npy
same 'the cut file computes the same bits' cut.npy whole1.npy
like 'run: the shape' "$(head -c 128 cut.npy | tr '\000' ' ')" "'shape': \(1, [0-9]+, 8, 12\)"

run adtool backbone show --layer layer99
exits 'show: no such layer' 128
out_is 'show: no such layer: nothing is printed before it is known' ''
run adtool backbone show --plan --layer layer99
err_like 'show --plan: no such layer is named' "^adtool: layer99: there is no layer 'layer99'; "

# What is of another kind is nobody's to lose.
printf 'GIF89a' >keep.gif
cp keep.gif before.gif
run adtool backbone cut adnet --layer layer8 -o keep.gif
exits 'cut: a picture is not replaced' 128
err_is 'cut: why' 'adtool: keep.gif: exists and is no ONNX file; only --force replaces it'
run adtool backbone run adnet --input x.npy -o keep.gif
exits 'run: a picture is not replaced' 128
err_is 'run: why' 'adtool: keep.gif: exists and is no .npy file; only --force replaces it'
same 'the picture is as it was' keep.gif before.gif
run adtool backbone cut adnet --layer layer16 -o mine/small.onnx
exits 'cut: an ONNX file is replaced' 0
run adtool backbone cut adnet --layer layer8 -o mine/small.onnx
run adtool backbone cut --force adnet --layer layer8 -o keep.gif
exits 'cut --force' 0
same 'cut --force replaces it' keep.gif mine/small.onnx
run adtool backbone run --force adnet --input x.npy --layer layer8 -o keep.gif
same 'run --force replaces it' keep.gif whole1.npy

tensor flat.npy '3, 64, 96' 73728
run_expect three-dimensions 128 adtool backbone run adnet --input flat.npy -o y.npy
tensor gray.npy '1, 1, 64, 96' 24576
run adtool backbone run adnet --input gray.npy -o y.npy
exits 'run: one channel' 128
tensor short.npy '1, 3, 64, 96' 100
run adtool backbone run adnet --input short.npy -o y.npy
exits 'run: a tensor cut short' 128
err_like 'run: a tensor cut short is named' '^adtool: short\.npy: .'
run adtool backbone run adnet --input gone.npy -o y.npy
exits 'run: no tensor' 128
run adtool backbone run adnet --input x.npy -o gone/y.npy
exits 'run: no folder to write to' 128
ok 'nothing was written' test ! -e y.npy

if have_shared backbones && have_shared golden && have_numpy; then
	golden() { # BACKBONE LAYER SIZE
		"$PYTHON" -c '
import json, subprocess, sys
import numpy as np
path, layer, size, shared = sys.argv[1:]
shown = subprocess.run(["adtool", "backbone", "show", path], capture_output=True, text=True, check=True).stdout
line = [l for l in shown.splitlines() if l.startswith("input ")][0]
color, top, rest = line[5:].replace("0..", "").strip().split(", ", 2)
numbers = [float(t) for t in rest.replace("mean ", "").replace("std ", "").split(", ")]
x = np.load(f"{shared}/golden/input-{size}.npy")
if color == "bgr":
    x = x[:, ::-1]
x = x * (float(top) / 255)
x = (x - np.array(numbers[:3]).reshape(1, 3, 1, 1)) / np.array(numbers[3:]).reshape(1, 3, 1, 1)
np.save("in.npy", x.astype("<f4"))
subprocess.run(["adtool", "backbone", "run", path, "--input", "in.npy", "--layer", layer, "-o", "out.npy"], check=True)
name = path.split("/")[-1].replace(".onnx", "")
want = np.load(f"{shared}/golden/{name}-{layer}-{size}.npy")
got = np.load("out.npy")
assert got.shape == want.shape, (got.shape, want.shape)
error = np.linalg.norm((got - want).ravel()) / np.linalg.norm(want.ravel())
print(error)
assert error < 1e-4, error' "$1" "$2" "$3" "$SHARED"
	}
	ok 'adnet computes what PyTorch computes' golden adnet layer16 200x264
	ok 'mobilenet_v2 computes what PyTorch computes' golden "$SHARED/backbones/mobilenet_v2.onnx" s16 200x264
else
	skip 2 'needs ../shared/golden and NumPy'
fi
done_testing
