package bus

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cordon/lab/disk"
)

// What the tests below start is this program itself: a core that appends numbers and
// says which of them were acknowledged.
const (
	childDir    = "CORDON_TEST_BUS_DIR"
	childUnsafe = "CORDON_TEST_BUS_UNSAFE"
	revokedWord = "revoked"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := appendForEver(dir, os.Getenv(childUnsafe) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if how := os.Getenv(childCrowd); how != "" {
		if err := crowdAt(context.Background(), how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// appendForEver appends the numbers from 0 and prints each that was acknowledged. It
// revokes a key before that, of which it prints the seed.
func appendForEver(dir string, unsafe bool) error {
	b, err := Open(context.Background(), Config{Dir: dir, MaxStore: 32 << 20, unsafe: unsafe, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	if !unsafe {
		key, err := os.ReadFile(filepath.Join(dir, revokedWord))
		if err != nil {
			return err
		}
		if err := b.Revoke(context.Background(), string(key)); err != nil {
			return err
		}
	}
	filling := strings.Repeat("x", 2000)
	var mu sync.Mutex
	next := 0
	ended := make(chan error)
	for range 8 { // as many gateways
		go func() {
			for {
				mu.Lock()
				n := next
				next++
				mu.Unlock()
				if err := b.Append(context.Background(), "core.report", fmt.Appendf(nil, "%d %s", n, filling)); err != nil {
					ended <- err
				}
				fmt.Println(n)
			}
		}()
	}
	return <-ended
}

// killed runs appendForEver in dir until it has said that number messages were
// acknowledged, kills it, and returns which.
func killed(t *testing.T, dir string, number int, unsafe bool) map[string]bool {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	if unsafe {
		cmd.Env = append(cmd.Env, childUnsafe+"=1")
	}
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := make(map[string]bool)
	lines := bufio.NewScanner(out)
	for len(acknowledged) < number && lines.Scan() {
		acknowledged[lines.Text()] = true
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // said before it died
		if _, err := strconv.Atoi(lines.Text()); err == nil {
			acknowledged[lines.Text()] = true
		}
	}
	cmd.Wait()
	if len(acknowledged) < number {
		t.Fatalf("only %d messages were acknowledged", len(acknowledged))
	}
	return acknowledged
}

// missing opens a bus in dir and removes from want what it still has.
func missing(t *testing.T, dir string, want map[string]bool) {
	t.Helper()
	b := open(t, func(c *Config) { c.Dir = dir })
	before, err := b.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if before.Messages == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	got := 0
	b.Consume(ctx, "ingest", "core.report", func(_ context.Context, m [][]byte) error {
		for _, d := range m {
			n, _, _ := strings.Cut(string(d), " ")
			delete(want, n)
		}
		if got += len(m); got >= int(before.Messages) {
			cancel()
		}
		return nil
	})
	if got < int(before.Messages) {
		t.Errorf("%d of %d messages came", got, before.Messages)
	}
}

// TestKilled kills core at moments by chance, and finds everything that it had
// acknowledged.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	_, key := newKey(t)
	if err := os.WriteFile(filepath.Join(dir, revokedWord), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{1, 50, 333} {
		want := killed(t, dir, after, false)
		missing(t, dir, want)
		if len(want) > 0 {
			t.Errorf("killed after %d: %d acknowledged messages are lost", after, len(want))
		}
	}
}

// TestPowerCut takes away everything that core had not made the disk keep.
func TestPowerCut(t *testing.T) {
	_, key := newKey(t)
	lost := func(after int, unsafe bool) (acknowledged, lost int, revoked bool) {
		d := disk.New(t, 192)
		home := filepath.Join(d.Dir, "bus")
		// A core that has run before: files that are made once are there.
		prepare(t, home, key)
		d.Sync()
		want := killed(t, home, after, unsafe)
		acknowledged = len(want)
		d.Cut()
		missing(t, home, want)
		list, err := os.ReadDir(filepath.Join(home, "accounts"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			token, err := os.ReadFile(filepath.Join(home, "accounts", f.Name()))
			if err == nil && strings.Contains(claimsOf(string(token)), key) {
				revoked = true
			}
		}
		return acknowledged, len(want), revoked
	}
	for _, after := range []int{1, 200, 1500} {
		n, missing, revoked := lost(after, false)
		t.Logf("%d acknowledged, %d lost", n, missing)
		if missing > 0 {
			t.Errorf("%d of %d acknowledged messages are lost", missing, n)
		}
		if !revoked {
			t.Error("the revocation is lost")
		}
	}
	// That the test can see a loss: a core that does not wait for its disk.
	n, missing, _ := lost(200, true)
	t.Logf("without waiting for the disk: %d acknowledged, %d lost", n, missing)
	if missing == 0 {
		t.Error("nothing is lost even without syncing: this test shows nothing")
	}
}

// prepare makes the files of a bus, and notes which key is to be revoked.
func prepare(t *testing.T, dir, key string) {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: dir, MaxStore: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := os.WriteFile(filepath.Join(dir, revokedWord), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
}

// claimsOf returns what a JWT says, as JSON.
func claimsOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	return string(body)
}
