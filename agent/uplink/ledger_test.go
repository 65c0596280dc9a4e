package uplink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	dir := t.TempDir()
	var now time.Duration
	open := func() *ledger { return openLedger(dir, nil, func() time.Duration { return now }) }
	l := open()
	add := func(i int) { l.add(Line{Report: fmt.Sprint("1/", i), Sort: "device", Text: strings.Repeat("ü", 200)}) }
	add(1)
	if err := l.flush(false); err != nil || len(open().lines(10)) != 0 {
		t.Errorf("written at once: %v", err)
	}
	now += ledgerEvery
	if err := l.flush(false); err != nil || len(open().lines(10)) != 1 {
		t.Errorf("not written after %v: %v", ledgerEvery, err)
	}
	for i := 2; i <= 5000; i++ {
		add(i)
		if err := l.flush(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.flush(true); err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, name := range ledgerNames {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 2*ledgerFile+2*ledgerPending {
		t.Errorf("%d bytes", size)
	}
	got := open().lines(500)
	if len(got) != 500 || got[499].Report != "1/5000" || got[0].Report != "1/4501" || len(got[0].Text) > maxLineText {
		t.Errorf("%d lines, the last %+v", len(got), got[len(got)-1])
	}
}

// TestLedgerPowerCut: a half line spoils no other.
func TestLedgerPowerCut(t *testing.T) {
	dir := t.TempDir()
	write := func(i int) {
		l := openLedger(dir, nil, func() time.Duration { return 0 })
		l.add(Line{Report: fmt.Sprint("1/", i), Sort: "device"})
		if err := l.flush(true); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	write(2)
	file := filepath.Join(dir, ledgerNames[0])
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	write(3)
	got := openLedger(dir, nil, func() time.Duration { return 0 }).lines(10)
	if len(got) != 2 || got[0].Report != "1/1" || got[1].Report != "1/3" {
		t.Errorf("%+v", got)
	}
}
