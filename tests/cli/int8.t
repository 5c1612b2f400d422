#!/bin/sh
# adtool train --precision int8: models that compute in 8 bits.
. "${0%/*}/lib.sh"

draw d --train 14 --normal 4 --each 1 --size 64
good=d/train/normal

run adtool train --precision int8 -j 1 -o one.zip "$good"
exits 'train' 0
out_like 'it says how far features are off' '^precision +int8; features differ by [0-9.]+ % of their spread from float32$'
run adtool train -q --precision int8 -j 3 -o three.zip "$good"
same '-j 1 and -j 3 give the same bytes' one.zip three.zip
run adtool info one.zip
out_like 'info says so' '^  precision +int8, with the ranges of [0-9]+ channels$'
run adtool info --check one.zip
exits 'the model is sound' 0
run adtool train -q --precision float32 -o wide.zip "$good"
run adtool train -q -o default.zip "$good"
same 'float32 is the default' wide.zip default.zip
run adtool info wide.zip
out_unlike 'and info has nothing to say of it' 'precision'

# Rows do not depend on threads or order; on the instruction set hardly.
run adtool score -q -j 1 -m one.zip d/test
exits 'score' 0
cp "$OUT" rows
run adtool score -q -j 3 -m one.zip d/test
same '-j 1 and -j 3 give the same rows' "$OUT" rows
ADTOOL_ISA=scalar run adtool score -q -m one.zip d/test
cut -f 2 "$OUT" | paste - rows | awk '{ d = $1 / $3 - 1; if (d > 1e-5 || d < -1e-5) bad = 1 } END { exit bad || !NR }'
ok 'scores are those of the scalar kernels to 1e-5' test $? = 0
run adtool score -q -m wide.zip d/test
cut -f 2 "$OUT" | paste - rows | awk '{ d = $1 / $3 - 1; if (d > 0.2 || d < -0.2) bad = 1 } END { exit bad || !NR }'
ok 'and about those of float32' test $? = 0

# What is learned later is computed as before.
run adtool train -q --precision int8 --keep-stats -o kept.zip "$good"
run adtool train -q --update kept.zip -o more.zip d/test/normal
exits 'an update' 0
run adtool info more.zip
out_like 'stays int8' '^  precision +int8'
run adtool train -q --update kept.zip --precision float32 -o more.zip d/test/normal
exits 'and takes no other precision' 129
run adtool train -q --from one.zip -o again.zip "$good"
run adtool info again.zip
out_like 'a recipe has it, too' '^  precision +int8'
same 'and gives the same ranges' one.zip again.zip
run adtool train -q --from one.zip --precision float32 -o back.zip "$good"
run adtool info back.zip
out_unlike 'unless another is asked for' 'precision'

run adtool train --precision int4 -o x.zip "$good"
exits 'an unknown precision is refused' 129
run adtool train -q --precision int8 --tune -o x.zip "$good"
exits 'tuning is of floats' 128
err_like 'which is said' 'int8 does not go with tuning'
run adtool train -q --precision int8 --method ppca -o x.zip "$good"
err_like 'ppca loses too much' 'int8 does not go with ppca'
run adtool train -q --precision int8 --memory 40M -o x.zip "$good"
exits 'so is too little memory' 128
err_like 'with a figure' 'measuring ranges needs about [0-9]+ MiB, more than the limit of [0-9]+ MiB|need about [0-9]+ MiB'

# What unzips and does not belong is named.
if have zip && have unzip; then
	mkdir u && (cd u && unzip -q ../one.zip)
	(cd u && zip -q -0 ../short.zip -x ranges.txt -r . )
	run adtool info short.zip
	exits 'ranges without names are refused' 128
	err_like 'by name' 'ranges\.txt: is missing'
	(cd u && sed 's/^3 /4 /' ranges.txt >r && mv r ranges.txt && zip -q -0 -r ../changed.zip .)
	run adtool info changed.zip
	exits 'changed names are refused' 128
	err_like 'as damaged' 'ranges\.txt: damaged'
fi
done_testing
