package postgres

import "testing"

func TestServer(t *testing.T) {
	s := Start(t)
	if a, b := s.Database(), s.Database(); a == b {
		t.Errorf("two databases of the address %s", a)
	}
	s.Kill()
	if s.Listens(t.Context()) {
		t.Error("listens after its end")
	}
	if s.Up(); !s.Listens(t.Context()) {
		t.Error("does not listen after its start")
	}
}
