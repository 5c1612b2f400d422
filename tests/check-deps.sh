#!/bin/sh
# Do includes point down only? Reads every #include of lib/, cli/, include/ and examples/ and holds it against the
# rooms of the design:
#
#	cli, examples -> include/adtool -> pipeline -> { image dataset net detect bundle report } -> kernel -> base
#
#	sh tests/check-deps.sh [FOLDER]
#
# Prints one line per violation and fails when there is any.

LC_ALL=C
export LC_ALL
cd "${1:-$(dirname "$0")/..}" || exit 2

files=$(find lib cli include examples -name '*.[ch]' -type f 2>/dev/null | sort)
[ -n "$files" ] || { echo "check-deps: no sources in $(pwd)" >&2; exit 2; }

# A file without any #include would not show in grep's output, which is fine.
grep -H -n '^[[:blank:]]*#[[:blank:]]*include' $files | awk '
BEGIN {
	# room -> the rooms of lib/ it may include, beside itself
	allowed["base"] = ""
	allowed["kernel"] = "base"
	allowed["dataset"] = allowed["bundle"] = allowed["report"] = "base"
	allowed["image"] = allowed["net"] = allowed["detect"] = "base kernel"
	allowed["pipeline"] = "base kernel image dataset net detect bundle report"
	allowed["cli"] = allowed["examples"] = allowed["public"] = ""

	# third-party header -> the rooms it may be seen in
	third["jpeglib.h"] = third["jerror.h"] = third["png.h"] = third["zlib.h"] = "image"
	third["tiffio.h"] = third["gif_lib.h"] = third["lcms2.h"] = third["libheif/heif.h"] = "image"
	third["libheif/heif_plugin.h"] = third["libde265/de265.h"] = "image"
	third["webp/decode.h"] = third["webp/demux.h"] = third["jxl/decode.h"] = "image"
	third["archive.h"] = third["archive_entry.h"] = "dataset"
	third["onnx.pb-c.h"] = third["protobuf-c/protobuf-c.h"] = "net"
	third["cblas.h"] = "detect"
	third["lapacke.h"] = "detect"
	third["zip.h"] = "bundle"
	third["jansson.h"] = "bundle report"
	third["xxhash.h"] = third["sha2.h"] = third["sha256.h"] = "base"
	third["dlfcn.h"] = third["malloc.h"] = "base"
	third["pthread.h"] = "base image net pipeline" # locks; threads belong to base

	# the machine: intrinsics belong to the arithmetic; base says what the CPU is
	third["immintrin.h"] = third["arm_neon.h"] = "kernel"
	third["emmintrin.h"] = "image kernel" # SSE2: the baseline of x86-64, needs neither flags nor dispatch
	third["cpuid.h"] = third["sys/auxv.h"] = "base kernel"

	n = split("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign " \
		"stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings threads time " \
		"dirent endian fcntl fnmatch getopt glob langinfo libgen poll pwd sched search semaphore spawn sysexits " \
		"termios unistd regex wchar wctype", std, " ")
	for (i = 1; i <= n; i++)
		libc[std[i] ".h"] = 1
}

function room_of(path, parts) {
	if (path ~ /^include\/adtool\//)
		return "public"
	if (path ~ /^cli\//)
		return "cli"
	if (path ~ /^examples\//)
		return "examples"
	if (path !~ /^lib\//)
		return ""
	split(path, parts, "/")
	return parts[2]
}

function normal(path,    parts, n, i, m, kept, out) {
	n = split(path, parts, "/")
	m = 0
	for (i = 1; i <= n; i++) {
		if (parts[i] == "." || parts[i] == "")
			continue
		if (parts[i] == ".." && m > 0)
			m--
		else
			kept[++m] = parts[i]
	}
	out = kept[1]
	for (i = 2; i <= m; i++)
		out = out "/" kept[i]
	return out
}

function has(list, word) { return index(" " list " ", " " word " ") > 0 }

function violation(why) {
	printf "%s:%s: %s: %s\n", file, line, name, why
	bad++
}

{
	match($0, /^[^:]*:[0-9]*:/)
	place = substr($0, 1, RLENGTH - 1)
	text = substr($0, RLENGTH + 1)
	split(place, at, ":")
	file = at[1]
	line = at[2]
	count++
	if (!match(text, /[<"][^>"]*[>"]/)) {
		name = text
		violation("an include that cannot be read")
		next
	}
	quoted = substr(text, RSTART, 1) == "\""
	name = substr(text, RSTART + 1, RLENGTH - 2)
	room = room_of(file)
	if (!(room in allowed)) {
		violation("no room of the design: " room)
		next
	}

	# The public API.
	if (name ~ /^adtool\//) {
		if (room == "base" || room == "kernel") {
			if (name != "adtool/error.h" && name != "adtool/version.h" && name != "adtool/geometry.h")
				violation(room " may include only <adtool/error.h> of the public API")
		}
		next
	}

	base = name
	sub(/^.*\//, "", base)
	if (base == "onnx.pb-c.h")
		name = base
	if (name in third) {
		if (!has(third[name], room))
			violation("belongs to " third[name] ", not to " room)
		next
	}
	if (!quoted) {
		if (!(name in libc) && name !~ /^(sys|linux|arpa|netinet)\//)
			violation("a library that tests/check-deps.sh does not know: give it a room there")
		next
	}

	folder = file
	sub(/\/[^\/]*$/, "", folder)
	target = room_of(normal(folder "/" name))
	if (target == "")
		violation("outside the rooms")
	else if (room == "public")
		violation("public headers include each other as <adtool/...>")
	else if (target != room && !has(allowed[room], target))
		violation(room " may not include " target)
}

END {
	if (bad)
		printf "check-deps: %d of %d includes point the wrong way\n", bad, count
	else
		printf "check-deps: %d includes, all point down\n", count
	exit bad > 0
}'
