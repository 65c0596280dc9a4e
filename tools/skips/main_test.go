package main

import (
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	events := `{"Action":"run","Package":"p","Test":"TestTool"}
{"Action":"output","Package":"p","Test":"TestTool","Output":"    p_test.go:7: needs tshark\n"}
{"Action":"output","Package":"p","Test":"TestTool","Output":"--- SKIP: TestTool (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestTool","Elapsed":0}
{"Action":"output","Package":"mips p","Test":"TestSuite","Output":"    needs qemu-mips\n"}
{"Action":"skip","Package":"mips p","Test":"TestSuite"}
{"Action":"output","Package":"p","Test":"TestChoice","Output":"    p_test.go:9: short mode, which needs no tshark\n"}
{"Action":"skip","Package":"p","Test":"TestChoice"}
{"Action":"output","Package":"p","Test":"TestLog","Output":"    p_test.go:9: needs nothing\n"}
{"Action":"pass","Package":"p","Test":"TestLog"}
{"Action":"skip","Package":"empty"}
`
	got, err := read(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"p TestTool (needs tshark)", "mips p TestSuite (needs qemu-mips)"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadRefuses(t *testing.T) {
	if _, err := read(strings.NewReader("ok p\n")); err == nil {
		t.Error("no error for a line that is no event")
	}
}
