//go:build mips || mips64 || ppc64 || s390x

package kernel

import _ "embed"

//go:embed program/eyes_eb.o
var object []byte
