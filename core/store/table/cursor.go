package table

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"cordon"
)

// A cursor is the number of a scan and the keys behind which a page begins, each with a
// letter for its type. It is compact, because keys have texts of routers in them, and
// nobody may make a list end by a name that makes a cursor too long.
const (
	numberKey = 'n' // a varint
	textKey   = 't' // a uvarint, its length, and the text
)

// maxCursor bounds what is taken for a cursor, in bytes. What is written is shorter than
// 512: column.IDBytes, column.KeyBytes and 40.
const maxCursor = 1024

// cursor writes where a page begins.
func cursor(scan int, after []any) string {
	b := binary.AppendUvarint(nil, uint64(scan))
	for _, v := range after {
		switch v := v.(type) {
		case int64:
			b = binary.AppendVarint(append(b, numberKey), v)
		case string:
			b = append(binary.AppendUvarint(append(b, textKey), uint64(len(v))), v...)
		}
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// readCursor is the reverse of cursor. The text may be anything.
func readCursor(text string) (scan int, after []any, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxCursor {
		return 0, nil, false
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > 1000 {
		return 0, nil, false
	}
	for b = b[size:]; len(b) > 0; {
		kind := b[0]
		b = b[1:]
		switch kind {
		case numberKey:
			v, size := binary.Varint(b)
			if size <= 0 {
				return 0, nil, false
			}
			after, b = append(after, v), b[size:]
		case textKey:
			length, size := binary.Uvarint(b)
			if size <= 0 || length > uint64(len(b)-size) {
				return 0, nil, false
			}
			s := string(b[size : size+int(length)])
			if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
				return 0, nil, false
			}
			after, b = append(after, s), b[size+int(length):]
		default:
			return 0, nil, false
		}
	}
	return int(n), after, true
}

// resume returns the scan and the keys that a cursor names, if they are those of the list.
func (l *List[T]) resume(text string, scans []scan[T]) (at int, after []any, err error) {
	if text == "" || len(scans) == 0 {
		return 0, nil, nil
	}
	at, after, ok := readCursor(text)
	if ok = ok && at < len(scans); ok && len(after) > 0 {
		var zero T
		want := scans[at].values(&zero)
		ok = len(want) == len(after)
		for i := 0; ok && i < len(want); i++ {
			_, isText := after[i].(string)
			_, wantText := want[i].(string)
			ok = isText == wantText
		}
	}
	if !ok {
		return 0, nil, fmt.Errorf("cursor of another list: %w", cordon.ErrInvalid)
	}
	return at, after, nil
}
