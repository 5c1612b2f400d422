#!/bin/sh
# adtool train --precision int8: models that compute in 8 bits.
precision=int8
. "${0%/*}/precision.sh"

run adtool info one.zip
out_like 'info tells of the ranges' '^  precision +int8, with the ranges of [0-9]+ channels$'
run adtool train -q -o default.zip "$good"
same 'float32 is the default' wide.zip default.zip

# On the instruction set rows hardly depend.
ADTOOL_ISA=scalar run adtool score -q -m one.zip d/test
ok 'scores are those of the scalar kernels to 1e-5' scores_near 1e-5
run adtool score -q -m wide.zip d/test
ok 'and about those of float32' scores_near 0.2

run adtool train -q --precision int8 --tune -o x.zip "$good"
exits 'what is in bytes cannot be tuned' 128
err_like 'which is said' 'there is nothing to tune: in int8 each convolution of this layer is computed in one way'
run adtool train --precision int4 -o x.zip "$good"
exits 'an unknown precision is refused' 129
run adtool train -q -j 2 --precision int8 --memory 40M -o x.zip "$good"
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
