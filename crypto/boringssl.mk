# boringssl: libcrypto.a and libssl.a from the distribution's source package.
#
#   make -f crypto/boringssl.mk SRC=<unpacked source> OUT=<work folder> DEST=<prefix>
#
# Why not the distribution's library: it is built with OPENSSL_SMALL, which makes
# P-256 signing more than three times slower. Here: with the assembler, without that
# flag, static, and with hidden symbols, so that nothing clashes with an OpenSSL that
# another library brings along.
#
# eureka.mk is the source package's own file list (crypto_sources, ssl_sources,
# linux_<machine>_sources). The Debian patches concern other machines and the tests
# only, so the upstream tarball is enough.

SRC ?= $(error say SRC=<folder of the unpacked source>)
OUT ?= $(error say OUT=<work folder>)
DEST ?= $(error say DEST=<prefix to fill>)

include $(SRC)/eureka.mk

MACHINE := $(shell $(CC) -dumpmachine)
ifneq ($(filter x86_64-%,$(MACHINE)),)
asm_sources := $(linux_x86_64_sources)
else ifneq ($(filter aarch64-%,$(MACHINE)),)
asm_sources := $(linux_aarch64_sources)
else
# No assembler for this machine: the C code stands in for it.
NO_ASM := -DOPENSSL_NO_ASM
endif

objects_of = $(patsubst %,$(OUT)/%.o,$(1))
crypto_objects := $(call objects_of,$(crypto_sources) $(asm_sources))
ssl_objects := $(call objects_of,$(ssl_sources))

common := -O2 -g1 -fPIC -fvisibility=hidden -fno-strict-aliasing -fno-common \
          -ffunction-sections -fdata-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
          -DNDEBUG -DBORINGSSL_IMPLEMENTATION $(NO_ASM) -I$(SRC)/src/include \
          -ffile-prefix-map=$(SRC)=boringssl
cflags := -std=gnu11 -D_XOPEN_SOURCE=700 $(common)
# libssl is C++, written so that no C++ run-time library is needed.
cxxflags := -std=gnu++17 -fno-exceptions -fno-rtti $(common)
asmflags := -Wa,--noexecstack $(common)

.PHONY: all
all: $(DEST)/lib/libcrypto.a $(DEST)/lib/libssl.a
	mkdir -p $(DEST)/include
	cp -R $(SRC)/src/include/openssl $(DEST)/include/
	cp $(SRC)/LICENSE $(DEST)/LICENSE

$(DEST)/lib/libcrypto.a: $(crypto_objects)
$(DEST)/lib/libssl.a: $(ssl_objects)
$(DEST)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcsD $@ $^

$(OUT)/%.c.o: $(SRC)/%.c
	@mkdir -p $(@D)
	@$(CC) $(cflags) -c -o $@ $<

$(OUT)/%.cc.o: $(SRC)/%.cc
	@mkdir -p $(@D)
	@$(CXX) $(cxxflags) -c -o $@ $<

$(OUT)/%.S.o: $(SRC)/%.S
	@mkdir -p $(@D)
	@$(CC) $(asmflags) -c -o $@ $<
