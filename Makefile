# SPDX-License-Identifier: MIT
#
# Tandem: user space, kernel modules, tests and demo. 'make help' lists targets.
#
# Each part names its sources in its own build.mk, in these variables (paths
# from the top; one list entry for one object, no wildcards):
#
#   kernels-src		compute kernels
#   firmware-src	firmware core, which tandem-fw and libtandem both hold
#   firmware-main-src	what only tandem-fw has
#   runtime-src		libtandem
#   tools-src		the tandem command
#   native-tests	test programs that run here, under sanitizers: path of
#			the program without suffix, e.g. tests/native/loop/test_loop
#   thread-tests	those in which threads meet: they run under TSan, too
#   guest-tests		the same for programs that run in the guest
#   guest-fuzzers	programs for the guest that are built, but run by hand
#   fuzzers		programs of libFuzzer, built by clang, of <program>-src only
#   native-scripts	executable files that test something here
#   guest-scripts	and in the guest
#   debug-scripts	and here with a debug kernel, $TANDEM_KERNEL
#   <program>-src	sources of a test program; default: <program>.c
#   <program>-libs	further libraries of a test program
#   cflags-<source>	more compiler flags for one source file
#
# Test programs see the internals of all parts (they link the objects, not the
# shared library). All tests speak TAP; see tests/run-suite.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.DELETE_ON_ERROR:
.SUFFIXES:

# SAN=asan builds the same under AddressSanitizer and UBSan, SAN=tsan under
# ThreadSanitizer, beside the other.
SAN	:=
out	:= build/$(or $(SAN),release)

CC	:= gcc
AR	:= ar
PYTHON	:= python3
PREFIX	:= /usr/local
DESTDIR	:=

version	= $(shell awk '/define TANDEM_VERSION_(MAJOR|MINOR|PATCH)/ { print $$3 }' \
	runtime/include/tandem/version.h | paste -sd.)

all: programs

# ---- parts ------------------------------------------------------------------

build-files := $(wildcard kernels/build.mk firmware-sim/build.mk \
	runtime/build.mk tools/build.mk tests/build.mk)
include $(build-files)

pkgs	:= liburing libdrm libibverbs libpcre2-8 libxxhash libisal libssl libcrypto \
	$(if $(has-efa),libefa)
pkg-cflags := $(shell pkg-config --cflags $(pkgs) 2>/dev/null)
pkg-libs   := $(shell pkg-config --libs $(pkgs) 2>/dev/null)
ifeq ($(pkg-libs)$(filter deps check% demo modules dkms-source lint clean help,$(MAKECMDGOALS)),)
$(error not all of $(pkgs) are installed: run 'make deps' as root)
endif

sanitize-asan := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
sanitize-tsan := -fsanitize=thread
ifneq ($(filter-out asan tsan,$(SAN)),)
$(error SAN=$(SAN): there are asan (with ubsan) and tsan)
endif
sanitize := $(sanitize-$(SAN))

CFLAGS	:= -O2 -g
cflags	 = -std=gnu11 -Wall -Wextra -Werror -fPIC -D_GNU_SOURCE= \
	-I. -Iuapi -Iruntime/include $(pkg-cflags) $(sanitize) $(CFLAGS)
# Programs find libtandem beside themselves, built or installed.
ldflags	 = $(sanitize) -Wl,--as-needed -Wl,-rpath,'$$ORIGIN/../lib' $(LDFLAGS)

objects	 = $(patsubst %.c,$(out)/obj/%.o,$(1))
program-src = $(or $($(1)-src),$(1).c)

core-src  := $(kernels-src) $(firmware-src) $(runtime-src)
test-programs := $(sort $(native-tests) $(guest-tests) $(node-tests) $(guest-fuzzers))
all-src	  := $(sort $(core-src) $(firmware-main-src) $(tools-src) \
	$(foreach test,$(test-programs),$(call program-src,$(test))))

$(out)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC      $<'
	@$(CC) $(cflags) $(cflags-$<) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call objects,$(all-src)))

# ---- programs and library ---------------------------------------------------

lib	:= $(out)/lib/libtandem.so.0
programs-y :=
ifneq ($(runtime-src),)
programs-y += $(lib)
endif
ifneq ($(firmware-main-src),)
programs-y += $(out)/bin/tandem-fw
endif
ifneq ($(and $(tools-src),$(runtime-src)),)
programs-y += $(out)/bin/tandem
endif

programs: $(programs-y)
	@:

# The export map alone decides what the library exports.
$(lib): $(call objects,$(core-src)) runtime/libtandem.map $(build-files)
	@mkdir -p $(@D)
	@echo '  LD      $@'
	@$(CC) -shared -Wl,-soname,libtandem.so.0 \
		-Wl,--version-script,runtime/libtandem.map \
		$(if $(SAN),,-Wl,--no-undefined) -o $@ \
		$(filter %.o,$^) $(ldflags) $(pkg-libs) -lpthread -lm
	@ln -sf libtandem.so.0 $(@D)/libtandem.so

$(out)/bin/tandem-fw: $(call objects,$(firmware-main-src) $(firmware-src) \
		$(kernels-src)) $(build-files)
	@mkdir -p $(@D)
	@echo '  LD      $@'
	@$(CC) -o $@ $(filter %.o,$^) $(ldflags) -lpthread -lm

$(out)/bin/tandem: $(call objects,$(tools-src)) $(lib) $(build-files)
	@mkdir -p $(@D)
	@echo '  LD      $@'
	@$(CC) -o $@ $(filter %.o,$^) $(ldflags) -L$(out)/lib -ltandem \
		-ljansson $(pkg-libs) -lm

# Thin, since several parts have a file of the same name.
core-archive := $(out)/obj/core.a
$(core-archive): $(call objects,$(core-src)) $(build-files)
	@rm -f $@
	@$(AR) rcsT $@ $(filter %.o,$^)

define test-program
$(out)/$(1): $(call objects,$(call program-src,$(1))) $(core-archive)
	@mkdir -p $$(@D)
	@echo '  LD      $$@'
	@$(CC) -o $$@ $$(filter %.o,$$^) $(core-archive) $$(ldflags) \
		$$($(1)-libs) -lcmocka $(pkg-libs) -lpthread -lm
endef
$(foreach test,$(test-programs),$(eval $(call test-program,$(test))))

native-programs: $(addprefix $(out)/,$(native-tests))
thread-programs: $(addprefix $(out)/,$(thread-tests))
guest-programs: $(addprefix $(out)/,$(guest-tests) $(node-tests) $(guest-fuzzers))

# With clang, whatever $(CC) is, and apart from everything else.
fuzz-out := build/fuzz
fuzz-flags := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
fuzzers: $(addprefix $(fuzz-out)/,$(fuzzers))

$(fuzz-out)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CLANG   $<'
	@clang $(filter-out $(sanitize),$(cflags)) $(fuzz-flags) -MMD -MP -c -o $@ $<

define fuzz-program
$(fuzz-out)/$(1): $(patsubst %.c,$(fuzz-out)/obj/%.o,$($(1)-src))
	@mkdir -p $$(@D)
	@echo '  CLANG   $$@'
	@clang $(fuzz-flags) -o $$@ $$^ $(pkg-libs) -lm
endef
$(foreach fuzzer,$(fuzzers),$(eval $(call fuzz-program,$(fuzzer))))
-include $(patsubst %.c,$(fuzz-out)/obj/%.d,$(sort $(foreach fuzzer,$(fuzzers),$($(fuzzer)-src))))

# ---- modules ----------------------------------------------------------------

# Debian's 6.12 headers, fetched when they are not in the cache; KERNEL=uml or
# KERNEL=debug: a debug kernel's instead. KERNEL=backports: those of the newest
# kernel in Debian 13's backports, with the compiler from there; KERNEL=newest: of
# User Mode Linux of the same source.
KDIR	:=
KERNEL	:=
MODFLAGS :=
modules-dir := build/modules$(addprefix -,$(KERNEL))
fetch-kernel := tests/vm/fetch-$(if $(KERNEL),debug-)kernel $(KERNEL)
kbuild	:= $(MAKE)
ifeq ($(KERNEL),backports)
fetch-kernel := tests/vm/fetch-kernel --backports
kbuild	:= tests/vm/trixie make CC=gcc
endif

# kbuild writes beside its sources, so it gets links to them. W=1 as everywhere.
modules:
	@mkdir -p $(modules-dir)
	@find $(modules-dir) -xtype l -delete
	@find Kbuild driver uapi $(if $(KERNEL),tests/debug) \
		-name '*.[ch]' -o -name '*.sh' -o -name Kbuild | \
		while read -r file; do \
			mkdir -p "$(modules-dir)/$$(dirname "$$file")" && \
			ln -sf "$(CURDIR)/$$file" "$(modules-dir)/$$file" || exit; \
		done
	+@kdir='$(KDIR)'; \
	[ -n "$$kdir" ] || kdir=$$($(fetch-kernel))/headers || exit; \
	[ "$(KERNEL)" != backports ] || kdir=$$(readlink "$$kdir") || exit; \
	! grep -qs '^CONFIG_UML=y' "$$kdir/.config" || arch=ARCH=um; \
	$(kbuild) -C "$$kdir" M="$(CURDIR)/$(modules-dir)" W=1 $$arch $(MODFLAGS) \
		modules

# ---- dependencies -----------------------------------------------------------

deps:
	@tools/install-deps

# ---- tests ------------------------------------------------------------------

results	:= build/check
suite	:= tests/run-suite
node-totals := $(results)/nodes/node0 $(results)/nodes/node1
vm	:= tests/vm/run

check: check-deps
	@rm -rf $(results)
	@$(MAKE) --no-print-directory native-results
	@$(MAKE) --no-print-directory guest-results
	@$(suite) --total $(results)/native $(results)/threads $(results)/guest

check-native: check-deps
	@rm -rf $(results)/native $(results)/threads
	@$(MAKE) --no-print-directory native-results
	@$(suite) --total $(results)/native $(results)/threads

check-guest: check-deps
	@rm -rf $(results)/guest
	@$(MAKE) --no-print-directory guest-results
	@$(suite) --total $(results)/guest

check-deps: deps

# Tests find the programs of their own build in $TANDEM_BUILD.
native-results:
	@$(MAKE) --no-print-directory -j2 programs
	@$(MAKE) --no-print-directory -j2 SAN=asan programs native-programs
	@TANDEM_BUILD=$(CURDIR)/build/asan $(suite) --results $(results)/native \
		$(addprefix build/asan/,$(native-tests)) $(native-scripts)
	@$(MAKE) --no-print-directory -j2 SAN=tsan thread-programs
	@TANDEM_BUILD=$(CURDIR)/build/tsan $(suite) --results $(results)/threads \
		$(addprefix build/tsan/,$(thread-tests))

# A guest that fails as a whole leaves no results, and that fails the total. It
# has a PCI device that is none of ours, for the adapter to refuse.
guest-results:
	@$(MAKE) --no-print-directory -j2 programs guest-programs modules
	@mkdir -p $(results)/guest
	@$(vm) --timeout 2400 --results $(results)/guest --qemu '-device edu' \
		$(suite) --time-limit 600 \
		$(addprefix $(out)/,$(guest-tests)) $(guest-scripts); \
		echo $$? >$(results)/guest/exit-status

# Two guests on one network, each of which runs the same programs. Not part of
# 'make check' yet: over verbs not all of them have been seen to pass.
node-results:
	@$(MAKE) --no-print-directory -j2 programs guest-programs modules
	@mkdir -p $(results)/nodes/node0
	@$(vm) --nodes 2 --cpus 1 --timeout 900 --results $(results)/nodes \
		$(suite) --time-limit 800 $(addprefix $(out)/,$(node-tests)); \
		echo $$? >$(results)/nodes/node0/exit-status

check-nodes: check-deps
	@rm -rf $(results)/nodes
	@$(MAKE) --no-print-directory node-results
	@$(suite) --total $(node-totals)

# The same with kernels that look for their own errors, which are built first:
# not part of check, since that takes long. In User Mode Linux all tests, under
# emulation, with several processors, those of the driver; but not those that have one
# allocation after the other fail, which have nothing of several processors and take
# very long there.
debug-kernels	:= uml debug
debug-tests	:= $(addprefix $(out)/,$(guest-tests)) $(guest-scripts)
debug-tests-uml	 = $(debug-tests)
debug-tests-debug = $(foreach test,$(debug-tests),\
	$(if $(findstring tests/guest/driver/,$(test)),\
		$(filter-out %_failslab,$(test))))

check-debug: check-deps
	@rm -rf $(results)/debug
	@for kernel in $(debug-kernels); do \
		$(MAKE) --no-print-directory KERNEL=$$kernel debug-results || exit; \
	done
	@$(suite) --total $(foreach kernel,$(debug-kernels),\
		$(results)/debug/$(kernel)-controls $(results)/debug/$(kernel))

debug-results: export TANDEM_KERNEL := $(KERNEL)
debug-results:
	@$(MAKE) --no-print-directory -j2 programs guest-programs modules
	@$(suite) --time-limit 3600 --results $(results)/debug/$(KERNEL)-controls \
		$(debug-scripts)
	@mkdir -p $(results)/debug/$(KERNEL)
	@$(vm) --kernel $(KERNEL) --timeout 7200 \
		--results $(results)/debug/$(KERNEL) \
		$(suite) --time-limit 1800 $(debug-tests-$(KERNEL)); \
		echo $$? >$(results)/debug/$(KERNEL)/exit-status

# The driver's own tests with the newest kernel that Debian 13 has: as it is, or built
# from its source, with the dmem cgroup, as User Mode Linux. Not part of 'make check':
# it bootstraps a Debian 13 first, and the latter takes long to build.
check-backports check-newest: check-%: check-deps
	@rm -rf $(results)/$*
	@$(MAKE) --no-print-directory -j2 programs guest-programs
	@$(MAKE) --no-print-directory modules KERNEL=$*
	@mkdir -p $(results)/$*
	@$(vm) --kernel $* --timeout 2400 \
		--results $(results)/$* $(suite) --time-limit 600 \
		$(addprefix $(out)/,$(filter tests/guest/driver/%,$(guest-tests))) \
		$(filter tests/guest/driver/%,$(guest-scripts)); \
		echo $$? >$(results)/$*/exit-status
	@$(suite) --total $(results)/$*

# What dkms(8) does with the modules. Not part of 'make check', which would take
# a minute longer.
check-dkms:
	@$(suite) --results $(results)/dkms tests/dkms/test_dkms.sh
	@$(suite) --total $(results)/dkms

# ---- demo -------------------------------------------------------------------

MODEL	:= tools/demo-model/tandem-demo.gguf
PROMPT	:= And God said
TOKENS	:= 64

quote	= '$(subst ','\'',$(1))'

demo: deps
	@test -r $(call quote,$(MODEL)) || { \
		echo 'demo: cannot read the model' $(call quote,$(MODEL)) >&2; \
		exit 1; }
	@$(MAKE) --no-print-directory -j2 programs modules
	@$(vm) --timeout 240 tools/demo $(call quote,$(MODEL)) \
		$(call quote,$(PROMPT)) $(call quote,$(TOKENS))

# ---- install, lint, clean ---------------------------------------------------

install: programs
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
		$(DESTDIR)$(PREFIX)/include/tandem $(DESTDIR)$(PREFIX)/include/drm
	install -m 755 $(out)/bin/tandem $(out)/bin/tandem-fw \
		$(DESTDIR)$(PREFIX)/bin
	install -m 755 $(lib) $(DESTDIR)$(PREFIX)/lib
	ln -sf libtandem.so.0 $(DESTDIR)$(PREFIX)/lib/libtandem.so
	install -m 644 runtime/include/tandem/*.h \
		$(DESTDIR)$(PREFIX)/include/tandem
	install -m 644 uapi/drm/tandem_accel.h $(DESTDIR)$(PREFIX)/include/drm
	sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@VERSION@,$(version),' \
		-e 's,@EFA@,$(if $(has-efa), libefa),' \
		runtime/tandem.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/tandem.pc
	chmod 644 $(DESTDIR)$(PREFIX)/lib/pkgconfig/tandem.pc

# What "dkms add -m tandem -v VERSION" takes up: sources and dkms.conf.
dkms-dir = $(DESTDIR)/usr/src/tandem-$(version)

dkms-source:
	install -d '$(dkms-dir)'
	find Kbuild driver uapi -name '*.[ch]' -o -name probe.sh -o \
		-name Kbuild | \
		while read -r file; do \
			install -D -m 644 "$$file" "$(dkms-dir)/$$file" || exit; \
		done
	sed 's,@VERSION@,$(version),' driver/dkms.conf >'$(dkms-dir)/dkms.conf'

lint:
	@KDIR="$(KDIR)" tools/lint

clean:
	rm -rf build

help:
	@echo 'Targets:'
	@echo '  all            libtandem, tandem-fw and tandem, in $(out)'
	@echo '  modules        tandem.ko and tandem_emu.ko, in $(modules-dir)'
	@echo '                 [KDIR=headers; default: Debian 6.12, fetched;'
	@echo '                 KERNEL=uml, debug, backports, newest: for that one]'
	@echo '  deps           install the Debian packages that are missing (root)'
	@echo '  demo           split inference in a QEMU guest'
	@echo '                 [MODEL=file.gguf PROMPT=text TOKENS=n]'
	@echo '  check          all tests; check-native and check-guest: one half'
	@echo '  check-nodes    transfers between two guests, with failures of all sorts'
	@echo '  check-debug    tests of the driver with kernels that look for errors'
	@echo '  check-backports the driver with the newest kernel for Debian 13 (root)'
	@echo '  check-newest   the driver with that built as User Mode Linux (root)'
	@echo '  fuzzers        of model files and text, with clang, in $(fuzz-out)'
	@echo '  check-dkms     the driver with dkms, which has to be installed (root)'
	@echo '  install        [PREFIX=$(PREFIX) DESTDIR=]'
	@echo '  dkms-source    the modules for dkms, in $(dkms-dir)'
	@echo '  lint           checkpatch, sparse, W=1, coccicheck; clang-format as'
	@echo '                 advice. Some four minutes on two processors'
	@echo '  clean'
	@echo 'SAN=asan builds under AddressSanitizer and UBSan, in build/asan.'
	@echo 'tests/vm/run COMMAND... runs anything in the guest.'

.PHONY: all programs native-programs thread-programs guest-programs fuzzers modules deps check \
	check-native check-guest check-nodes check-debug check-backports check-newest check-dkms check-deps \
	native-results guest-results node-results debug-results demo \
	install dkms-source lint clean help
