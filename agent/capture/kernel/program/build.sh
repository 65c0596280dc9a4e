#!/bin/sh
# Compiles the program for both byte orders into $1, here by default. It needs
# clang and llvm-strip of version 14 (Debian: clang-14, llvm-14): with another
# version other bytes come out, and what is committed was tested with these.
set -eu
cd "$(dirname "$0")"
out=${1:-.}
for order in el eb; do
	clang-14 -target bpf$order -mcpu=v2 -O2 -g -fno-ident -ffile-prefix-map="$PWD=." \
		-Wall -Wextra -Werror -Wno-unused-function -c eyes.c -o "$out/eyes_$order.o"
	llvm-strip-14 -g -R .BTF.ext -R .rel.BTF.ext -R .llvm_addrsig "$out/eyes_$order.o"
done
