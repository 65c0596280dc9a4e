package dialect

import "testing"

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1": "SELECT 1", "a = $1 AND b = $2": "a = ? AND b = ?", "$1, $1": "$1, $1", "$2, $1": "$2, $1", "$1, $3": "$1, $3", "$1 $": "$1 $",
		"$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11": "?,?,?,?,?,?,?,?,?,?,?", "$10": "$10", "$12": "$12",
	} {
		if got := plain(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
