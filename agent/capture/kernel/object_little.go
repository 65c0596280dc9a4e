//go:build 386 || amd64 || arm || arm64 || loong64 || mipsle || mips64le || ppc64le || riscv64

package kernel

import _ "embed"

//go:embed program/eyes_el.o
var object []byte
