package blindfold_test

import (
	"testing"

	"cordon/agent/capture/blindfold"
	"cordon/agent/packet"
)

// TestNext: nothing is seen, and it is now.
func TestNext(t *testing.T) {
	s := blindfold.New(func() int64 { return 7 })
	defer s.Close()
	f := packet.Frame{Len: 60, Data: make([]byte, 60)}
	if err := s.Next(&f); err != nil || f.Time != 7 || f.Len != 0 || len(f.Data) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}
