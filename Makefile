# Nativefold. Words: make, make cuda=1, make demo [FULL=1], make check [LEVEL=2 | cuda=1 DEVICE=cuda], make bench, make deps, make format,
# make install, make packages, make clean.
# Knobs: BUILD (build directory), ARCH (instruction set, default x86-64-v3 on x86), CC, PREFIX, asan=1, ROOMS, TESTS.

# V=1 shows the commands.
ifndef V
Q := @
SAY = @echo "  $(1)"
endif

CC ?= gcc
CXX ?= g++
BUILD ?= build
PREFIX ?= /usr/local
MACHINE := $(shell uname -m)
ifeq ($(MACHINE),x86_64)
ARCH ?= -march=x86-64-v3
endif

# In flow order: a room includes only rooms before it (make deps).
ALL_ROOMS := base formats chem structure tensor input search features weights model score output
ROOMS ?= $(ALL_ROOMS)

WARN := -Wall -Wextra -Werror -Wno-unused-parameter
# No contraction to fused multiply-add: random numbers must come out bit for bit. The fast kernels ask for it by name.
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE -O3 -g $(ARCH) -ffp-contract=off -fopenmp $(WARN) -Isrc -Iinclude -I. -MMD -MP $(CFLAGS)
CXXFLAGS_ALL = -std=c++20 -O2 -g -fPIC -Wall -Wextra -Isrc -isystem /usr/include/rdkit -MMD -MP $(CXXFLAGS)
ifdef asan
# gcc warns of overreads that are none when it compiles the sanitizers' checks.
CFLAGS_ALL += -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined -Wno-stringop-overread \
  -Wno-maybe-uninitialized
LDFLAGS += -fsanitize=address,undefined
endif

# Static where Debian has an archive; RDKit is loaded on need from a library of its own.
ifdef asan
GOMP := -lgomp
else
GOMP := -Wl,-Bstatic -lgomp -Wl,-Bdynamic -static-libgcc
endif
LIBS = -Wl,-Bstatic -ljansson -lzstd -llzma -lz -Wl,-Bdynamic $(EXTRA_LIBS) $(CUDA_LIBS) -lm -lpthread -ldl

SOURCES := $(foreach r,$(ROOMS),$(sort $(wildcard src/$(r)/*.c)))
ifneq ($(filter tensor,$(ROOMS)),)
SOURCES += $(sort $(wildcard src/tensor/cpu/*.c))
endif
ifeq ($(ROOMS),$(ALL_ROOMS))
SOURCES += $(wildcard src/*.c)
endif
# cuda=1: the GPU's ops, into the same program. The runtime is linked statically, and the driver loaded when a GPU is asked
# for, so that the program starts on machines without. CUDA_ARCH: compute capabilities.
ifdef cuda
NVCC ?= nvcc
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(realpath $(shell command -v $(NVCC))))
CUDA_ARCH ?= 80 90a
NVCCFLAGS_ALL = -std=c++17 -O3 -lineinfo $(foreach a,$(CUDA_ARCH),-gencode=arch=compute_$(a),code=sm_$(a)) -Isrc -I. \
  -Xcompiler -Wall,-Wextra,-Wno-unused-parameter -MMD -MP $(NVCCFLAGS)
CFLAGS_ALL += -DNF_CUDA
ifneq ($(filter tensor,$(ROOMS)),)
CUDA_SOURCES := $(sort $(wildcard src/tensor/cuda/*.cu))
endif
CUDA_LIBS := -L$(CUDA_HOME)/lib64 -Wl,-Bstatic -lcudart_static -lstdc++ -Wl,-Bdynamic -lrt
endif
ASSEMBLY := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.S))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(ASSEMBLY:%.S=$(BUILD)/%.o) $(CUDA_SOURCES:%.cu=$(BUILD)/%.o)
LIB := $(BUILD)/libnativefold.a
CLI_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard cli/*.c)))
BINARY := $(BUILD)/nativefold
RDKIT_LIB := $(BUILD)/libnativefold_rdkit.so
HAVE_RDKIT := $(and $(wildcard /usr/include/rdkit/GraphMol/GraphMol.h),$(wildcard /usr/include/boost/config.hpp))

TESTS ?= $(sort $(wildcard tests/*/test_*.c))
FUZZ_SECONDS ?= 20
ifeq ($(ROOMS),$(ALL_ROOMS))
SCRIPTS := $(sort $(wildcard tests/*/*.sh))
endif
TEST_BINARIES := $(TESTS:%.c=$(BUILD)/%)

.PHONY: all demo check check-binaries bench deps format install packages clean
all: $(BINARY) $(if $(HAVE_RDKIT),$(RDKIT_LIB))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call SAY,CC $<)
	$(Q)$(CC) $(CFLAGS_ALL) -c $< -o $@
$(BUILD)/%.o: %.cu
	@mkdir -p $(@D)
	$(call SAY,NVCC $<)
	$(Q)$(NVCC) $(NVCCFLAGS_ALL) -c $< -o $@
$(BUILD)/%.o: %.S
	@mkdir -p $(@D)
	$(call SAY,AS $<)
	$(Q)$(CC) -Isrc -I. -MMD -MP -c $< -o $@
$(BUILD)/src/chem/ccd_embedded.o: data/ccd_subset.bin
$(BUILD)/src/weights/manifests.o: data/manifest_full.tsv data/manifest_tiny.tsv
$(LIB): $(OBJECTS)
	@rm -f $@
	$(call SAY,AR $@)
	$(Q)ar qcs $@ $(OBJECTS)
$(BINARY): $(CLI_OBJECTS) $(LIB)
	$(call SAY,LD $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(CLI_OBJECTS) $(LIB) $(LIBS) $(GOMP)
$(RDKIT_LIB): src/chem/rdkit.cc src/chem/rdkit.h
	@mkdir -p $(@D)
	$(call SAY,CXX $<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) -shared -o $@ $< -lRDKitDistGeomHelpers -lRDKitSmilesParse -lRDKitGraphMol -lRDKitRDGeneral -lRDKitRDGeometryLib

$(BUILD)/fold_one: $(BUILD)/examples/fold_one.o $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS) $(GOMP)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/tests/test.o $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(BUILD)/tests/test.o $(LIB) $(LIBS) $(GOMP)

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LIBS) $(GOMP)

# Two commands on a fresh machine: make demo, make check.
packages:
	tools/packages.sh build
demo: packages
	@$(MAKE) --no-print-directory all
	tools/demo.sh $(BUILD) $(if $(FULL),full)

bench: all
	$(BINARY) bench

deps:
	@tools/deps.sh $(ALL_ROOMS)

format:
	clang-format -i $(shell git ls-files '*.c' '*.h' '*.cc')

install: all
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/nativefold
	install -D -m 644 include/nativefold.h $(DESTDIR)$(PREFIX)/include/nativefold.h
	install -D -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/libnativefold.a
	if [ -f $(RDKIT_LIB) ]; then install -D -m 755 $(RDKIT_LIB) $(DESTDIR)$(PREFIX)/lib/libnativefold_rdkit.so; fi

check-binaries: $(TEST_BINARIES)
ifeq ($(ROOMS),$(ALL_ROOMS))
check: all $(BUILD)/fold_one
endif
check: $(TEST_BINARIES)
ifeq ($(DEVICE),cuda)
	@bench/gpu_check.sh $(BUILD)
else ifeq ($(LEVEL),2)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-asan asan=1 all check-binaries $(BUILD)-asan/fold_one
	@BUILD=$(BUILD) tests/run.sh $(TEST_BINARIES) $(SCRIPTS) "env BUILD=$(BUILD)-asan" \
	  $(TEST_BINARIES:$(BUILD)/%=$(BUILD)-asan/%) $(SCRIPTS) "tools/fuzz.sh $(BUILD) $(FUZZ_SECONDS)"
else
	@BUILD=$(BUILD) tests/run.sh $(TEST_BINARIES) $(SCRIPTS)
endif

clean:
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d) $(CLI_OBJECTS:.o=.d) $(TEST_BINARIES:=.d) $(wildcard $(BUILD)/bench/*.d $(BUILD)/examples/*.d)
.SECONDARY:
