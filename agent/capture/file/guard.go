package file

import (
	"errors"
	"runtime/debug"
)

// ErrChanged says that a capture was cut short by somebody while it was read.
var ErrChanged = errors.New("capture was cut while it was being read")

// Guard runs read, which takes frames from Readers on this goroutine. Files are
// mapped, so one that is cut while it is read takes away the memory that a frame
// lies in; Guard makes that an ErrChanged where it would end the program.
func Guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // a memory fault, see debug.SetPanicOnFault
			err = ErrChanged
		default:
			panic(r)
		}
	}()
	return read()
}
