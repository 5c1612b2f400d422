# adtool: `make help` lists the targets.
#
# CONFIG picks a build: release (default), asan, ubsan, tsan, msan, fuzz. Everything goes to build/, or build/CONFIG.

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

CONFIG ?= release
ifeq ($(CONFIG),release)
B := build
else
B := build/$(CONFIG)
endif

CC ?= gcc
AR ?= ar
ifneq ($(filter fuzz msan,$(CONFIG)),)
CC := clang # libFuzzer and MemorySanitizer are its
endif
PROVE ?= prove
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
LIBEXECDIR ?= $(PREFIX)/libexec/adtool
DATADIR ?= $(PREFIX)/share/adtool
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d

version_part = $(shell sed -n 's/^\#define ADTOOL_VERSION_$(1) //p' include/adtool/version.h)
SOVERSION := $(call version_part,MAJOR)
VERSION := $(SOVERSION).$(call version_part,MINOR).$(call version_part,PATCH)

ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wconversion
ifdef WERROR
WARN += -Werror
endif
CFLAGS ?= -O2 -g
# What tests/cli/hardening.t looks for in every program. Level 3 of _FORTIFY_SOURCE is gcc 12's and clang 9's.
cc_takes = $(shell $(CC) -Werror $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo "$(1)")
HARDEN := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 $(call cc_takes,-fstack-clash-protection) \
	$(call cc_takes,-fcf-protection=full)
LDFLAGS += -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
SAN_asan := -fsanitize=address -fno-omit-frame-pointer
SAN_ubsan := -fsanitize=undefined,float-cast-overflow -fno-sanitize-recover=all
SAN_tsan := -fsanitize=thread
SAN_msan := -fsanitize=memory -fsanitize-memory-track-origins -fno-omit-frame-pointer
SAN_fuzz := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer
ifneq ($(CONFIG),release)
HARDEN :=
SAN := $(SAN_$(CONFIG))
ifeq ($(SAN),)
$(error unknown CONFIG '$(CONFIG)': release, asan, ubsan, tsan, msan or fuzz)
endif
endif

# The name under which a library is opened at run time (see lib/base/lazy.h).
soname = $(or $(shell f=$$($(CC) -print-file-name=lib$(1).so); test -e "$$f" && \
	objdump -p "$$(readlink -f "$$f")" 2>/dev/null | sed -n 's/^ *SONAME *//p'),$(2))
SONAMES := -DAD_SONAME_ZIP='"$(call soname,zip,libzip.so.4)"' \
	-DAD_SONAME_ARCHIVE='"$(call soname,archive,libarchive.so.13)"' \
	-DAD_SONAME_LAPACKE='"$(call soname,lapacke,liblapacke.so.3)"'

# Picture formats whose libraries are optional: those that are here, but for WITHOUT='tiff webp gif heif jxl icc'. They are
# opened at run time too.
WITHOUT ?=
format = $(if $(filter $(1),$(WITHOUT)),,$(if $(call soname,$(2)),-DAD_SONAME_$(3)='"$(call soname,$(2))"'))
FORMATS := $(call format,tiff,tiff,TIFF) $(call format,webp,webp,WEBP) $(call format,webp,webpdemux,WEBPDEMUX) \
	$(call format,gif,gif,GIF) $(call format,heif,heif,HEIF) $(call format,heif,de265,DE265) \
	$(call format,jxl,jxl,JXL) $(call format,icc,lcms2,LCMS)
FORMAT_LIBS := $(if $(findstring _TIFF,$(FORMATS)),-ltiff) $(if $(findstring _WEBP=,$(FORMATS)),-lwebp -lwebpmux) \
	$(if $(findstring _GIF,$(FORMATS)),-lgif) $(if $(findstring _HEIF,$(FORMATS)),-lheif) \
	$(if $(findstring _JXL,$(FORMATS)),-ljxl)

# Each command in short; V=1 shows them whole.
quiet = $(if $(filter 1,$(V)),,@printf '  %-6s %s\n' $(1) $@;)

# Lists that depend on directories and on generated files.
ISA_ROOMS_x86_64 := avx2 avx512 avxvnni avx512vnni avx512bf16
ISA_ROOMS_aarch64 := neon neondot
ISA_ROOMS := scalar $(ISA_ROOMS_$(ARCH))
ISA_FLAGS_scalar := -ffp-contract=off
ISA_FLAGS_avx2 := -mavx2 -mfma
ISA_FLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma
ISA_FLAGS_avxvnni := -mavx2 -mavxvnni
ISA_FLAGS_avx512vnni := $(ISA_FLAGS_avx512) -mavx512vnni
ISA_FLAGS_avx512bf16 := $(ISA_FLAGS_avx512) -mavx512bf16
ISA_FLAGS_neon :=
ISA_FLAGS_neondot := -march=armv8.2-a+dotprod
# Vector code takes a compiler many minutes under a sanitizer. Nobody fuzzes it; and which thread writes what does not depend
# on the kernels: those in plain C, which the tests of the engine run too, are enough to see races.
ISA_CFLAGS := $(if $(filter fuzz tsan,$(CONFIG)),-O1 -fno-sanitize=all,$(if $(SAN),-O1))

CPPFLAGS += -Iinclude -I$(B)/gen -D_GNU_SOURCE -include lib/base/banned.h $(HARDEN) \
	$(foreach r,$(ISA_ROOMS),-DAD_ROOM_$(r)=1)
ALL_CFLAGS = -std=c11 $(WARN) $(CFLAGS) $(SAN) -pthread -MMD -MP
LDLIBS := -ljpeg -lpng -lz -lprotobuf-c -ljansson -lmd -lm

LIB_SRC := $(wildcard lib/*.c lib/*/*.c) $(foreach r,$(ISA_ROOMS),$(wildcard lib/kernel/$(r)/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(B)/gen/onnx.pb-c.o
CLI_PROGRAMS := $(patsubst cli/%.c,%,$(wildcard cli/adtool.c cli/adtool-*.c))
CLI_COMMON_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out cli/adtool.c cli/adtool-%.c,$(wildcard cli/*.c)))
EXAMPLES := $(patsubst examples/%.c,%,$(wildcard examples/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_COMMON_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c)))
ifeq ($(CONFIG),msan)
MARKED := ad_malloc ad_malloc_array ad_malloc_aligned SHA256Final
UNIT_COMMON_OBJ += $(B)/tests/msan/mark.o
endif
TEST_TOOLS := $(patsubst tests/tools/%.c,%,$(wildcard tests/tools/*.c))
MAN_PAGES := $(wildcard man/*.[1-9])
FUZZ_FORMATS := jpeg png bmp pnm $(if $(findstring _TIFF,$(FORMATS)),tiff) $(if $(findstring _WEBP=,$(FORMATS)),webp) \
	$(if $(findstring _GIF,$(FORMATS)),gif) $(if $(findstring _HEIF,$(FORMATS)),heif) $(if $(findstring _JXL,$(FORMATS)),jxl)
FUZZ_COMMANDS := $(patsubst adtool-%,%,$(filter adtool-%,$(CLI_PROGRAMS)))
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(filter-out $(patsubst %,tests/fuzz/%.c,cli common picture replay seeds), \
	$(wildcard tests/fuzz/*.c))) $(FUZZ_FORMATS:%=picture-%) $(FUZZ_COMMANDS:%=cli-%)

BIN := $(CLI_PROGRAMS:%=$(B)/bin/%)
# Called as the shells look for them.
COMPLETIONS := $(B)/completions/bash/adtool $(B)/completions/zsh/_adtool $(B)/completions/fish/adtool.fish
EXAMPLE_BIN := $(EXAMPLES:%=$(B)/examples/%)
UNIT_BIN := $(UNIT_TESTS:%=$(B)/tests/%)
TOOL_BIN := $(TEST_TOOLS:%=$(B)/tests/tools/%)
REPLAY_BIN := $(FUZZ_TARGETS:%=$(B)/tests/fuzz/%) $(B)/tests/fuzz/seeds
FUZZ_BIN := $(FUZZ_TARGETS:%=$(B)/fuzz/%)
FAULT_BIN := $(B)/tests/faults/nomem $(B)/tests/faults/killed $(B)/tests/faults/shim.so

##@ Building

.PHONY: all
all: lib $(BIN) $(COMPLETIONS) ## build the library and the commands

.PHONY: lib
lib: $(B)/lib/libadtool.a $(B)/lib/libadtool.so $(B)/lib/adtool.pc ## build libadtool.a, libadtool.so and adtool.pc

.PHONY: examples
examples: $(EXAMPLE_BIN) ## build the programs of examples/

.PHONY: deps
deps: ## install the missing Debian packages that building and testing need
	@sh .ci/packages install

$(B)/gen/onnx.pb-c.c: lib/net/onnx.proto
	@mkdir -p $(@D)
	$(call quiet,GEN)protoc-c --proto_path=lib/net --c_out=$(B)/gen onnx.proto
$(B)/gen/onnx.pb-c.h: $(B)/gen/onnx.pb-c.c ;

$(B)/gen/%.o: $(B)/gen/%.c
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(filter-out -Wconversion -Wshadow,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden -c -o $@ $<

define isa_room_rule
$$(B)/lib/kernel/$(1)/%.o: lib/kernel/$(1)/%.c | $$(B)/gen/onnx.pb-c.h
	@mkdir -p $$(@D)
	$$(call quiet,CC)$$(CC) $$(CPPFLAGS) $$(ALL_CFLAGS) $$(ISA_CFLAGS) $$(ISA_FLAGS_$(1)) -fPIC -fvisibility=hidden -c -o $$@ $$<
endef
$(foreach r,$(ISA_ROOMS),$(eval $(call isa_room_rule,$(r))))

# What was left out may change from one run to the next.
$(B)/gen/formats: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FORMATS)' | cmp -s - $@ || printf '%s\n' '$(FORMATS)' >$@
.PHONY: FORCE
FORCE:
$(patsubst lib/%.c,$(B)/lib/%.o,$(wildcard lib/image/*.c)) $(B)/tests/unit/test_formats.o: $(B)/gen/formats

$(B)/lib/%.o: lib/%.c | $(B)/gen/onnx.pb-c.h
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(SONAMES) $(FORMATS) -DADTOOL_DATADIR='"$(DATADIR)"' $(ALL_CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<

# The one file beside the kernels that is made for an instruction set.
$(B)/lib/base/digest_avx2.o: ALL_CFLAGS += $(if $(filter x86_64,$(ARCH)),-mavx2)

# .incbin is not seen by -MMD.
$(B)/lib/net/embedded.o: lib/net/adnet.onnx
$(B)/lib/report/assets.o: lib/report/page.css lib/report/page.js

$(B)/lib/libadtool.a: $(LIB_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $^

# It stays where it was opened: libheif keeps what lib/image/hevc.c gives it.
$(B)/lib/libadtool.so.$(VERSION): $(LIB_OBJ)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) -shared -Wl,-soname,libadtool.so.$(SOVERSION) -Wl,-z,nodelete $(ALL_CFLAGS) $(LDFLAGS) -Wl,-z,defs -o $@ $^ $(LDLIBS)

$(B)/lib/libadtool.so: $(B)/lib/libadtool.so.$(VERSION)
	@ln -sf $(<F) $(B)/lib/libadtool.so.$(SOVERSION)
	$(call quiet,LN)ln -sf $(<F) $@

PC = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	-e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(LDLIBS)|'
$(B)/lib/adtool.pc: lib/adtool.pc.in include/adtool/version.h Makefile
	@mkdir -p $(@D)
	$(call quiet,GEN)$(PC) $< >$@

$(B)/cli/%.o: cli/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) -DADTOOL_MANDIR='"$(MANDIR)"' -DADTOOL_LIBEXECDIR='"$(LIBEXECDIR)"' $(ALL_CFLAGS) -fPIE -c -o $@ $<

# An archive, so that the front gets no more than it uses.
$(B)/cli/common.a: $(CLI_COMMON_OBJ)
	@rm -f $@
	$(call quiet,AR)$(AR) rcs $@ $^

$(B)/bin/%: $(B)/cli/%.o $(B)/cli/common.a $(B)/lib/libadtool.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(ALL_CFLAGS) -pie $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

# The parts that one command alone has.
CLI_PARTS := $(patsubst cli/%.c,%,$(wildcard cli/*/*.c))
part_of = $(firstword $(subst /, ,$(1)))
$(foreach p,$(CLI_PARTS),$(eval $(B)/bin/adtool-$(call part_of,$(p)) $(B)/tests/fuzz/cli-$(call part_of,$(p)) \
	$(B)/fuzz/cli-$(call part_of,$(p)): $(B)/cli/$(p).o))

# Each program lists its own options.
$(COMPLETIONS): $(BIN)
	@mkdir -p $(@D)
	$(call quiet,GEN)$(B)/bin/adtool completion $(notdir $(@D)) >$@

$(B)/examples/%: examples/%.c $(B)/lib/libadtool.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fPIE -pie $(LDFLAGS) -o $@ $< $(B)/lib/libadtool.a $(LDLIBS)

$(B)/tests/unit/%.o: tests/unit/%.c | $(B)/gen/onnx.pb-c.h
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(SONAMES) $(FORMATS) $(ALL_CFLAGS) -c -o $@ $<

$(B)/tests/test_%: $(B)/tests/unit/test_%.o $(UNIT_COMMON_OBJ) $(B)/lib/libadtool.a
	$(call quiet,LINK)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(MARKED:%=-Wl,--wrap=%) -o $@ $^ -lcmocka $(LDLIBS)

$(B)/tests/msan/%.o: tests/msan/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# It writes what the library reads.
$(B)/tests/tools/draw_formats: TOOL_LIBS := $(FORMAT_LIBS)
$(B)/tests/tools/draw_formats: $(B)/gen/formats
$(B)/tests/tools/%: tests/tools/%.c $(B)/lib/libadtool.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(CPPFLAGS) $(FORMATS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< \
		$(B)/lib/libadtool.a $(TOOL_LIBS) $(LDLIBS)

# The calls of lib/base/mem.h, led to a test that makes them fail.
WRAPPED := ad_malloc ad_calloc ad_malloc_array ad_realloc_array ad_strdup ad_strndup ad_malloc_aligned
$(B)/tests/faults/nomem: tests/faults/nomem.c $(B)/lib/libadtool.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(CPPFLAGS) $(SONAMES) $(ALL_CFLAGS) $(LDFLAGS) $(WRAPPED:%=-Wl,--wrap=%) -o $@ $< $(B)/lib/libadtool.a $(LDLIBS)

$(B)/tests/faults/killed: tests/faults/killed.c
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $<

# Of no use under a sanitizer, which has calls of its own in the same places.
$(B)/tests/faults/shim.so: tests/faults/shim.c
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) -D_GNU_SOURCE -U_FORTIFY_SOURCE -std=c11 -Wall -Wextra -Wno-nonnull $(CFLAGS) -fPIC -shared -o $@ $<

# The same targets twice: with a main of their own, and with libFuzzer's.
$(B)/tests/fuzz/%.o: tests/fuzz/%.c | $(B)/gen/onnx.pb-c.h
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(SONAMES) $(ALL_CFLAGS) -c -o $@ $<

$(B)/tests/fuzz/seeds: $(B)/tests/fuzz/seeds.o $(B)/tests/unit/onnx_make.o $(B)/lib/libadtool.a
	$(call quiet,LINK)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The commands' main would be one too many.
$(B)/tests/fuzz/cli_main.o: $(B)/cli/main.o
	@mkdir -p $(@D)
	$(call quiet,COPY)objcopy --redefine-sym main=cli_main $< $@

define fuzz_rules
$$(B)/$(1)/picture-%: $$(B)/tests/fuzz/picture.o $$(B)/tests/fuzz/common.o $(2) $$(B)/lib/libadtool.a
	@mkdir -p $$(@D)
	$$(call quiet,LINK)$$(CC) $$(ALL_CFLAGS) $(3) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
$$(B)/$(1)/cli-%: $$(B)/tests/fuzz/cli.o $$(B)/tests/fuzz/common.o $(2) $$(B)/cli/adtool-%.o $$(B)/tests/fuzz/cli_main.o \
		$$(filter-out %/main.o,$$(CLI_COMMON_OBJ)) $$(B)/lib/libadtool.a
	@mkdir -p $$(@D)
	$$(call quiet,LINK)$$(CC) $$(ALL_CFLAGS) $(3) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) $$(LDLIBS)
$$(B)/$(1)/%: $$(B)/tests/fuzz/%.o $$(B)/tests/fuzz/common.o $(2) $$(B)/lib/libadtool.a
	@mkdir -p $$(@D)
	$$(call quiet,LINK)$$(CC) $$(ALL_CFLAGS) $(3) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(eval $(call fuzz_rules,tests/fuzz,$$(B)/tests/fuzz/replay.o,))
$(eval $(call fuzz_rules,fuzz,,-fsanitize=fuzzer))

-include $(LIB_OBJ:.o=.d) $(wildcard $(B)/cli/*.d $(B)/cli/*/*.d $(B)/tests/*/*.d $(B)/examples/*.d)
.SECONDARY:

##@ Using

.PHONY: demo
demo: ## everything at once: packages, build, sample pictures, train, score, evaluate
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j2 all examples
	@sh examples/demo.sh $(B)

# A crack: see README.md.
HEATMAP := test/anomalous/crack/000.png
.PHONY: heatmap
heatmap: demo ## draw README's picture again
	cp $(B)/demo/overlays/$(HEATMAP).png examples/heatmap.png

.PHONY: install
install: all ## install to $(DESTDIR)$(PREFIX)
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR)/adtool $(LIBEXECDIR) $(DATADIR)/backbones)
	install -m 755 $(B)/bin/adtool $(DESTDIR)$(BINDIR)/
	install -m 755 $(filter-out %/adtool,$(BIN)) $(DESTDIR)$(LIBEXECDIR)/
	install -m 644 $(B)/lib/libadtool.a $(DESTDIR)$(LIBDIR)/
	install -m 755 $(B)/lib/libadtool.so.$(VERSION) $(DESTDIR)$(LIBDIR)/
	ln -sf libadtool.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libadtool.so.$(SOVERSION)
	ln -sf libadtool.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libadtool.so
	$(PC) lib/adtool.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/adtool.pc
	install -m 644 include/adtool/*.h $(DESTDIR)$(INCLUDEDIR)/adtool/
	install -d $(addprefix $(DESTDIR),$(BASHDIR) $(ZSHDIR) $(FISHDIR))
	install -m 644 $(B)/completions/bash/adtool $(DESTDIR)$(BASHDIR)/
	install -m 644 $(B)/completions/zsh/_adtool $(DESTDIR)$(ZSHDIR)/
	install -m 644 $(B)/completions/fish/adtool.fish $(DESTDIR)$(FISHDIR)/
	for page in $(MAN_PAGES); do \
		section=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
		install -d $$section && install -m 644 $$page $$section/ || exit 1; done

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/adtool $(addprefix $(DESTDIR)$(LIBEXECDIR)/,$(filter-out adtool,$(CLI_PROGRAMS)))
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libadtool.a libadtool.so libadtool.so.$(SOVERSION) libadtool.so.$(VERSION) pkgconfig/adtool.pc)
	rm -rf $(DESTDIR)$(INCLUDEDIR)/adtool
	rm -f $(DESTDIR)$(BASHDIR)/adtool $(DESTDIR)$(ZSHDIR)/_adtool $(DESTDIR)$(FISHDIR)/adtool.fish
	for page in $(MAN_PAGES); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$$(basename $$page); done
	-rmdir $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DATADIR)/backbones $(DESTDIR)$(DATADIR) 2>/dev/null

.PHONY: dist
dist: ## a source tarball, the same bytes each time: build/adtool-VERSION.tar.gz
	@sh .ci/dist build $(VERSION)

.PHONY: deb
deb: ## Debian packages, in build/deb
	@sh .ci/deb build $(VERSION)

# For packaging: sonames, as no ELF header names them. LIBRARIES=needed, or formats.
.PHONY: opened-libraries
opened-libraries:
	@printf '%s\n' $(if $(filter formats,$(LIBRARIES)),$(FORMATS),$(SONAMES)) | sed -n 's/.*"\(.*\)".*/\1/p'

.PHONY: clean
clean: ## remove build/
	rm -rf build

##@ Checking

# What measures accuracy on many real pictures has nothing more to show a sanitizer, and takes an hour under one.
ACCURACY_TESTS := test_reference test_coverage
TESTS ?= $(if $(SAN),$(filter-out $(ACCURACY_TESTS:%=$(B)/tests/%),$(UNIT_BIN)),$(UNIT_BIN)) tests/cli
export ADTOOL_BUILD := $(abspath $(B))

# What a sanitizer finds goes to a file for each process: no test looks at what every process says, and at its status.
ifneq ($(filter asan ubsan tsan,$(CONFIG)),)
REPORTS := $(abspath $(B))/reports
report_to = $(if $($(1)),$($(1)):)log_path=$(REPORTS)/report:log_exe_name=1:exitcode=99
export ASAN_OPTIONS := $(call report_to,ASAN_OPTIONS):strict_string_checks=1
export UBSAN_OPTIONS := $(call report_to,UBSAN_OPTIONS):print_stacktrace=1
export TSAN_OPTIONS := $(call report_to,TSAN_OPTIONS)
endif

.PHONY: check
check: ## install what is missing, build, run every test
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory check-deps check-headers
	@$(MAKE) --no-print-directory -j2 test-programs
	@$(MAKE) --no-print-directory test

.PHONY: test-programs
test-programs: all examples $(UNIT_BIN) $(TOOL_BIN) $(REPLAY_BIN) $(FAULT_BIN)

.PHONY: test
test: test-programs ## run the tests that are built; TESTS= picks some
	@$(if $(REPORTS),rm -rf $(REPORTS) && mkdir -p $(REPORTS) && chmod 1777 $(REPORTS))
	@status=0; CMOCKA_MESSAGE_OUTPUT=TAP PERL5LIB=$(CURDIR)/tests/lib $(PROVE) --source Adtool::Unit \
		--formatter Adtool::Formatter $(PROVEFLAGS) -r $(TESTS) || status=$$?; \
		$(if $(REPORTS),for report in $(REPORTS)/*; do ! test -s "$$report" || { cat "$$report"; status=1; }; done;) exit $$status

.PHONY: check-asan check-ubsan check-tsan
check-asan check-ubsan check-tsan: check-%: ## every test under a sanitizer
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j2 CONFIG=$* test-programs
	@$(MAKE) --no-print-directory CONFIG=$* test
	@echo "check-$*: left out: $(ACCURACY_TESTS)"

# Those that third-party libraries, which are not built for it, write nothing for: see CONTRIBUTING.md.
MSAN_TESTS := test_base test_kernels test_int8 test_engine test_detect_limit test_detect_pool test_evaluation test_metrics test_drift test_heat
.PHONY: check-msan msan-programs
msan-programs: $(MSAN_TESTS:%=$(B)/tests/%)
check-msan: ## values that were never set, in what is our own code alone, with clang
	@$(MAKE) --no-print-directory -j2 CONFIG=msan msan-programs
	@MSAN_OPTIONS=poison_in_malloc=0:poison_in_free=0 CMOCKA_MESSAGE_OUTPUT=TAP PERL5LIB=$(CURDIR)/tests/lib \
		$(PROVE) --source Adtool::Unit --formatter Adtool::Formatter $(PROVEFLAGS) $(MSAN_TESTS:%=build/msan/tests/%)

FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzz-programs
fuzz-programs: $(FUZZ_BIN)
fuzz: ## look for inputs that break a parser, with libFuzzer; FUZZ_SECONDS=60 each, FUZZ=TARGET... picks some
	@$(MAKE) --no-print-directory -j2 all examples $(B)/tests/fuzz/seeds
	@$(MAKE) --no-print-directory -j2 CONFIG=fuzz fuzz-programs
	@sh tests/fuzz/seeds.sh $(B) build/fuzz/seeds
	@sh tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS) $(or $(FUZZ),$(FUZZ_TARGETS))

# Tests whose networks and pictures are small; of others one may take an hour.
VALGRIND_TESTS ?= $(patsubst %,tests/cli/%.t,completion limits sandbox synopsis)
.PHONY: check-valgrind
check-valgrind: test-programs ## the commands, and tests of the command line, under valgrind; VALGRIND_TESTS= picks others
	@sh tests/valgrind/run.sh $(B)
	@PERL5LIB=$(CURDIR)/tests/lib sh tests/valgrind/cli.sh $(B) $(VALGRIND_TESTS)

.PHONY: soak
SOAK ?= 100000
soak: all examples ## score many pictures in one process: flat memory, no leaks, same bits; SOAK=100000
	@sh tests/soak/soak.sh $(B) $(SOAK)

.PHONY: check-faults
KILLS ?= 100
check-faults: test-programs ## every call that can fail, failing, one at a time; KILLS=100 of each command; some minutes
	@ADTOOL_FAULTS=full ADTOOL_KILLS=$(KILLS) $(PROVE) -v tests/cli/faults.t tests/cli/watch.t

# A build of its own, in which only what sees the formats is built more than once.
OPTIONAL := tiff webp gif heif jxl icc
.PHONY: check-without
check-without: all examples $(B)/tests/tools/draw_formats ## builds without each optional library, and without them all
	@mkdir -p $(B)/without && cp -a $(B)/lib $(B)/cli $(B)/gen $(B)/bin $(B)/examples $(B)/without/
	@set -e; for left_out in "$(OPTIONAL)" $(OPTIONAL); do \
		$(MAKE) --no-print-directory B=$(B)/without WERROR=1 WITHOUT="$$left_out" all examples \
			$(B)/without/tests/test_formats $(B)/without/tests/tools/draw_formats >$(B)/without.log 2>&1 || \
			{ cat $(B)/without.log; exit 1; }; \
		sh tests/without/check.sh $(abspath $(B)) $(abspath $(B)/without) $$left_out; \
	done
	@rm -rf $(B)/without

.PHONY: check-packages
check-packages: ## the tarball and the Debian packages: built, looked at by lintian, unpacked and used
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -j2 all examples
	@PERL5LIB=$(CURDIR)/tests/lib $(PROVE) --formatter Adtool::Formatter $(PROVEFLAGS) tests/package

close := )
# What a compiler says of each file without making anything. The vector rooms and the tests are for its warnings only.
CHECKED := $(wildcard lib/*/*.c lib/kernel/scalar/*.c cli/*.c cli/*/*.c examples/*.c)
VECTOR_CHECKED := $(foreach r,$(filter-out scalar,$(ISA_ROOMS)),$(wildcard lib/kernel/$(r)/*.c))
WARNED := $(CHECKED) $(VECTOR_CHECKED) $(wildcard tests/*/*.c)
CHECK_FLAGS = $(CPPFLAGS) -U_FORTIFY_SOURCE $(SONAMES) $(FORMATS) -DADTOOL_DATADIR='""' -DADTOOL_MANDIR='""' -DADTOOL_LIBEXECDIR='""' \
	-std=c11 -O1
.PHONY: check-clang
check-clang: $(B)/gen/onnx.pb-c.h ## no warnings from clang either
	@for f in $(WARNED); do \
		case $$f in $(foreach r,$(ISA_ROOMS),lib/kernel/$(r)/*$(close) isa="$(ISA_FLAGS_$(r))" ;;) *) isa= ;; esac; \
		clang $(CHECK_FLAGS) $$isa $(WARN) -Werror -fsyntax-only $$f || failed=1; \
	done; test -z "$$failed" && echo "check-clang: $(words $(WARNED)) files without a warning"

.PHONY: analyze
analyze: $(B)/gen/onnx.pb-c.h ## clang's static analysis; fails when it finds anything
	@printf '%s\n' $(CHECKED) | xargs -n 1 -P 2 clang $(CHECK_FLAGS) --analyze --analyzer-output text $(ANALYZE) -o /dev/null \
		>$(B)/analyze.log 2>&1 && ! grep -q 'warning:' $(B)/analyze.log || { cat $(B)/analyze.log; exit 1; }
	@echo "analyze: $(words $(CHECKED)) files, nothing found"

.PHONY: check-neon
check-neon: ## the NEON kernels, built for AArch64, run under an emulator
	@$(PROVE) -v tests/cli/neon.t

.PHONY: bench
bench: test-programs ## speed beside ONNX Runtime's (ADTOOL_ORT: where it is), and of whole commands; ROUNDS=5
	@sh tests/bench/bench.sh $(ROUNDS)

.PHONY: check-deps
check-deps: ## includes point down only: the rooms of CONTRIBUTING.md
	@sh tests/check-deps.sh

.PHONY: check-headers
check-headers: ## each public header compiles alone, as C and as C++
	@for h in include/adtool/*.h; do \
		$(CC) -std=c11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c $$h || exit 1; \
		! command -v g++ >/dev/null || g++ -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ $$h || exit 1; \
	done; echo "check-headers: every public header compiles alone"

.PHONY: format
format: ## format the sources with clang-format
	clang-format -i $(wildcard include/adtool/*.h lib/*.[ch] lib/*/*.[ch] lib/kernel/*/*.[ch] cli/*.[ch] cli/*/*.[ch] examples/*.c tests/*/*.[ch])

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-zA-Z_ -]+:.*## / { printf "  %-40s %s\n", $$1, $$2 }' Makefile
