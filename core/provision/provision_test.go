package provision_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"cordon"
	"cordon/core/provision"

	"github.com/google/go-cmp/cmp"
)

// secret is a claim that no output may hold.
const secret = "s3cret-0f-SN1"

// TestRead reads lists as providers' systems and spreadsheets write them.
func TestRead(t *testing.T) {
	want := []cordon.RouterImport{
		{Line: 2, Serial: "SN1", Claim: cordon.Claim{SecretHash: sha256.Sum256([]byte(secret))}, AccountReference: "C-1",
			AccountName: "Müller, Anna", SiteReference: "L-1", SiteName: "Home", Area: "north/1", Group: "pilot", Model: "R1"},
		{Line: 3, Serial: "SN2", Claim: cordon.Claim{Key: [32]byte{31: 1}}, AccountReference: "C-2", SiteReference: "C-2"},
	}
	key := strings.Repeat("00", 31) + "01"
	for _, c := range []struct {
		name   string
		format provision.Format
		text   string
	}{
		{"commas", provision.CSV, "serial,claim_secret,claim_key,account,account_name,site,site_name,area,group,model\n" +
			"SN1," + secret + `,,C-1,"Müller, Anna",L-1,Home,north/1,pilot,R1` + "\nSN2,,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=,C-2,,,,,,\n"},
		{"a spreadsheet", provision.CSV, "\ufeffSerial;Claim_Secret; claim_key ;account;account_name;site;site_name;area;group;model\r\n" +
			"SN1;" + secret + `;;C-1;"Müller, Anna";L-1;Home;north/1;pilot;R1` + "\r\nSN2;;" + key + ";C-2;;;;;;\r\n"},
		{"an array", provision.JSON, `[` + "\n" + `{"serial":"SN1","claim_secret":"` + secret + `","account":"C-1","account_name":"Müller, Anna",` +
			`"site":"L-1","site_name":"Home","area":"north/1","group":"pilot","model":"R1"},` + "\n" +
			`{"serial":"SN2","claim_key":"` + key + `","account":"C-2","model":null}` + "\n]\n"},
		{"objects", provision.JSON, "\n" + `{"serial":"SN1","claim_secret":"` + secret + `","account":"C-1","account_name":"Müller, Anna",` +
			`"site":"L-1","site_name":"Home","area":"north/1","group":"pilot","model":"R1"}` + "\n" +
			`{"serial":"SN2","claim_key":"` + key + `","account":"C-2"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := provision.Read(strings.NewReader(c.text), c.format)
			if err != nil || len(l.Problems) > 0 || l.Rows != 2 {
				t.Fatalf("%d rows, problems %v, error %v", l.Rows, l.Problems, err)
			}
			if diff := cmp.Diff(want, l.Routers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestProblems finds everything that is wrong, with its line, and gives no secret away.
func TestProblems(t *testing.T) {
	head := "serial,claim_secret,account,site,model\n"
	lines := func(row string, n int) string { return strings.Repeat(row+"\n", n) }
	for _, c := range []struct {
		name, text string
		want       []string // line: what: part of why
	}{
		{"all of one line", head + "-SN 1,short,,*,\x01\n", []string{"2: serial: letters", "2: claim_secret: want 8",
			"2: account: is empty", "2: site: a letter or digit first", "2: model: printable"}},
		{"twice", head + "SN1," + secret + ",C1,L1,\nSN1," + secret + ",C1,L2,\nSN3," + secret + ",C3,L1,\n",
			[]string{"3: serial: stands on line 2", "4: site: the router on line 2 is for the same site"}},
		{"fields", head + "SN1," + secret + ",C1\n\nSN2," + secret + ",C2,,\n", []string{"2: line: has 3 fields"}},
		{"quoted line ends", head + "SN1," + secret + ",C1,\"L\n1\",\nSN2,,C2,,\n",
			[]string{"2: site: a letter", "4: claim_secret: exactly one"}},
		{"end", "serial,claim_secret,claim_expires,account\nSN1," + secret + ",2027-01-31T00:00:00Z,C1\nSN2," + secret + ",soon,C2\n",
			[]string{"3: claim_expires: want a time"}},
		{"not UTF-8", head + "SN1," + secret + ",C1,L1,M\xfcller\n", []string{"2: model: UTF-8"}},
		{"hash", "serial,claim_sha256,account\nSN1,abc,C1\nSN2," + strings.Repeat("00", 32) + ",C2\n",
			[]string{"2: claim_sha256: 64 hexadecimal", "3: claim_sha256: zero"}},
		{"many", head + lines("-,"+secret+",C1,L1,", provision.MaxProblems+5), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := provision.Read(strings.NewReader(c.text), provision.CSV)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil && (len(l.Problems) != provision.MaxProblems || l.Omitted != 5) {
				t.Fatalf("%d problems, %d omitted", len(l.Problems), l.Omitted)
			} else if c.want == nil {
				return
			}
			expect(t, c.want, l.Problems)
			if text := fmt.Sprintf("%+v", l); strings.Contains(text, secret) {
				t.Errorf("the secret is in %s", text)
			}
		})
	}
}

// expect compares problems with "line: what: part of why".
func expect(t *testing.T, want []string, problems []cordon.ImportProblem) {
	t.Helper()
	if len(want) != len(problems) {
		t.Fatalf("problems %v, want %q", problems, want)
	}
	for i, p := range problems {
		text := fmt.Sprintf("%d: %s: %s", p.Line, p.What, p.Why)
		if parts := strings.SplitN(want[i], ": ", 3); !strings.HasPrefix(text, parts[0]+": "+parts[1]+": ") || !strings.Contains(p.Why, parts[2]) {
			t.Errorf("problem %q, want %q", text, want[i])
		}
	}
}

// TestJSONProblems does the same for JSON.
func TestJSONProblems(t *testing.T) {
	text := `[{"serial":"SN1","claim_secret":"` + secret + `","account":"C1"},
7,

{"serial":5,"account":"C2"}, {"serial":"SN2","colour":"red"},
{"serial":"SN3","claim_secret":"` + secret + `","account":"C1"},
[1]]`
	l, err := provision.Read(strings.NewReader(text), provision.JSON)
	if err != nil || l.Rows != 6 {
		t.Fatalf("%d rows, %v", l.Rows, err)
	}
	var found []string
	for _, p := range l.Problems {
		found = append(found, fmt.Sprintf("%d: %s", p.Line, p.What))
	}
	want := []string{"2: line", "4: serial", "4: line", "5: site", "6: line"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("%s\n%v", diff, l.Problems)
	}
}

// TestFormat refuses what is no list at all, and says where.
func TestFormat(t *testing.T) {
	for _, c := range []struct {
		name   string
		format provision.Format
		text   string
		want   string
	}{
		{"nothing", provision.CSV, "", "it is empty"},
		{"no first line", provision.CSV, "SN1," + secret + ",C1\n", "the name of column 1"},
		{"a column twice", provision.CSV, "serial,serial,account\n", "twice"},
		{"no claim", provision.CSV, "serial,account\n", "want the columns"},
		{"open quotes", provision.CSV, "serial,claim_secret,account\n\"SN1,a,b\n", "line 2"},
		{"a long record", provision.CSV, "serial,claim_secret,account\n\"" + strings.Repeat("x\n", 70<<10), "more than 65536 bytes"},
		{"nothing", provision.JSON, " ", "it is empty"},
		{"a text", provision.JSON, `"x"`, "want an array"},
		{"cut off", provision.JSON, "[\n{\"serial\":", "line 2: it ends in the middle"},
		{"no JSON", provision.JSON, "[\n{serial:1}]", "line 2: no JSON"},
		{"more behind", provision.JSON, "[]\n[]", "line 2: something follows"},
		{"a long object", provision.JSON, `[{"serial":"` + strings.Repeat("x", 70<<10), "more than 65536 bytes"},
		{"another form", "xml", "<a/>", "want csv or json"},
	} {
		t.Run(string(c.format)+" "+c.name, func(t *testing.T) {
			l, err := provision.Read(strings.NewReader(c.text), c.format)
			if !errors.Is(err, provision.ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("%v, want one with %q (%+v)", err, c.want, l)
			}
		})
	}
}

// endless makes a list that does not end.
type endless struct {
	b    bytes.Buffer
	n    int
	name string // of each account
}

func (e *endless) Read(b []byte) (int, error) {
	for e.b.Len() < len(b) {
		if e.n++; e.n == 1 {
			e.b.WriteString("serial,claim_secret,account,account_name\n")
			continue
		}
		fmt.Fprintf(&e.b, "SN%d,%s,C%d,%s\n", e.n, secret, e.n, e.name)
	}
	return e.b.Read(b)
}

// TestBound stops at the most rows and bytes, and says which.
func TestBound(t *testing.T) {
	_, err := provision.Read(new(endless), provision.CSV)
	if !errors.Is(err, provision.ErrFormat) || !strings.Contains(err.Error(), "200000 routers") {
		t.Errorf("%v", err)
	}
	_, err = provision.Read(&endless{name: strings.Repeat("x", 50<<10)}, provision.CSV)
	if !errors.Is(err, provision.ErrFormat) || !strings.Contains(err.Error(), "more than 64 MB: send several") {
		t.Errorf("%v", err)
	}
	broken := errors.New("line cut")
	_, err = provision.Read(io.MultiReader(strings.NewReader("serial,claim_secret,account\n"), failing{broken}), provision.CSV)
	if !errors.Is(err, broken) {
		t.Errorf("%v, want the reader's own", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestWrite writes no formula.
func TestWrite(t *testing.T) {
	var b bytes.Buffer
	w, err := provision.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(&cordon.Router{Serial: "=1+1", Model: "\t@SUM(A1)", Area: " -2", Agent: "1.0"}), w.Flush()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	for i, want := range map[int]string{0: "'=1+1", 6: "' -2", 7: "'\t@SUM(A1)", 8: "1.0"} {
		if rows[1][i] != want {
			t.Errorf("column %s: %q, want %q", rows[0][i], rows[1][i], want)
		}
	}
}

// FuzzRead feeds anything to both readers.
func FuzzRead(f *testing.F) {
	f.Add([]byte("serial,claim_secret,account\nSN1,"+secret+",C1\n"), true)
	f.Add([]byte("serial;claim_sha256;account;site\r\n\"SN1\";x;;\n"), true)
	f.Add([]byte(`[{"serial":"SN1","claim_key":"x","account":"C1"},3,[],null]`), false)
	f.Add([]byte(`{"serial":"SN1"}{"serial":2}`), false)
	f.Fuzz(func(t *testing.T, b []byte, isCSV bool) {
		format := provision.JSON
		if isCSV {
			format = provision.CSV
		}
		l, err := provision.Read(bytes.NewReader(b), format)
		if err != nil {
			return
		}
		if l.Rows > len(b) || len(l.Routers) > l.Rows {
			t.Errorf("%d routers in %d rows of %d bytes", len(l.Routers), l.Rows, len(b))
		}
		if len(l.Routers) < l.Rows && len(l.Problems) == 0 {
			t.Error("a row is missing without a problem")
		}
		lines := bytes.Count(b, []byte("\n")) + 1
		for _, p := range l.Problems {
			if p.Line < 1 || p.Line > lines || p.What == "" || p.Why == "" {
				t.Errorf("problem %+v of %d lines", p, lines)
			}
		}
		for _, r := range l.Routers {
			if r.Claim.Zero() || r.Serial == "" || r.AccountReference == "" || r.SiteReference == "" {
				t.Errorf("took %+v", r)
			}
		}
	})
}
