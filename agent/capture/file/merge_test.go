package file

import (
	"errors"
	"io"
	"math/rand/v2"
	"sort"
	"strconv"
	"testing"

	"cordon/agent/packet"

	"github.com/google/go-cmp/cmp"
)

// at makes records with these times in microseconds, named for their file.
func at(name string, times ...int64) []record {
	var out []record
	for _, t := range times {
		out = append(out, record{t * 1000, packet.LinkEthernet, len(name), name})
	}
	return out
}

func TestMerge(t *testing.T) {
	a := reader(t, pcapFile(little, magicMicro, 0, 1, at("a", 1, 4, 4, 9)))
	b := reader(t, ngFile(big, at("b", 2, 4, 10, 11)))
	none := reader(t, pcapFile(little, magicMicro, 0, 1, nil))
	c := reader(t, zip(pcapFile(big, magicMicro, 0, 1, at("c", 0, 4, 3, 12)))) // goes back once
	want := []record{}
	for _, s := range []string{"c0", "a1", "b2", "a4", "a4", "b4", "c4", "c3", "a9", "b10", "b11", "c12"} {
		us, _ := strconv.ParseInt(s[1:], 10, 64)
		want = append(want, at(s[:1], us)...)
	}
	m := Merge(a, b, none, c)
	got, err := readAll(m.Next)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	if err := m.Next(new(packet.Frame)); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
	if err := Merge().Next(new(packet.Frame)); err != io.EOF {
		t.Errorf("merge of nothing: %v", err)
	}
}

// TestMergeMany compares with a stable sort.
func TestMergeMany(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var readers []*Reader
	var want []record
	for i := range 17 {
		times := make([]int64, rnd.IntN(40))
		for j := range times {
			times[j] = int64(rnd.IntN(100))
		}
		sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
		records := at("file "+strconv.Itoa(i), times...)
		want = append(want, records...)
		readers = append(readers, reader(t, ngFile(little, records)))
	}
	sort.SliceStable(want, func(a, b int) bool { return want[a].Time < want[b].Time })
	got, err := readAll(Merge(readers...).Next)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

func TestMergeDamaged(t *testing.T) {
	sound := reader(t, ngFile(big, at("sound", 1, 3, 5)))
	broken := reader(t, append(pcapFile(little, magicMicro, 0, 1, at("broken", 2, 4)), "rest"...))
	hopeless := reader(t, pcapFile(little, magicMicro, 0, 1, nil)[:10])
	m := Merge(broken, sound, hopeless)
	got, err := readAll(m.Next)
	if len(got) != 5 || got[4].Data != "sound" {
		t.Errorf("records %v", got)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 2 {
		t.Fatalf("error %v, want two damages", err)
	}
	for i, record := range []uint64{3, 1} {
		var d *DamageError
		if !errors.As(joined.Unwrap()[i], &d) || d.Record != record {
			t.Errorf("damage %d is %v, want record %d", i, joined.Unwrap()[i], record)
		}
	}
	if again := m.Next(new(packet.Frame)); again != err {
		t.Errorf("then %v", again)
	}
}
