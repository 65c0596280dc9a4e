package table

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"cordon/core/store/table/column"
)

func TestCursor(t *testing.T) {
	for _, keys := range [][]any{nil, {int64(0)}, {int64(math.MinInt64), "", "x"}, {strings.Repeat("\x01", column.KeyBytes), strings.Repeat("s", 26), strings.Repeat("ü", column.IDBytes/2)}} {
		c := cursor(3, keys)
		at, after, ok := readCursor(c)
		if !ok || at != 3 || !reflect.DeepEqual(after, keys) {
			t.Errorf("%q is read as %d, %q, %v", keys, at, after, ok)
		}
		if len(c) > 512 { // what the API takes
			t.Errorf("%q is a cursor of %d bytes", keys, len(c))
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor(1, []any{int64(5), "site", "id"}))
	f.Add("AHQ")
	f.Fuzz(func(t *testing.T, text string) {
		at, after, ok := readCursor(text)
		if !ok {
			return
		}
		if again, values, ok := readCursor(cursor(at, after)); !ok || again != at || !reflect.DeepEqual(values, after) {
			t.Errorf("%q: %d, %q becomes %d, %q", text, at, after, again, values)
		}
	})
}
