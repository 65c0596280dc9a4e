package program

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Refused is an answer of the API that is none.
type Refused struct {
	Path   string
	Status int
	Text   string
}

func (r *Refused) Error() string {
	return fmt.Sprintf("core answers %d to %s: %s", r.Status, r.Path, r.Text)
}

// maxText bounds what is read of a refusal, in bytes.
const maxText = 64 << 10

// Ask asks the API as who runs core, and reads the answer into out, unless that is nil.
func (c *Core) Ask(ctx context.Context, method, path string, in, out any) error {
	_, err := Ask(ctx, c.local, "http://localhost", nil, method, path, in, out)
	return err
}

// Ask sends a request to an API and reads the answer into out, unless that is nil.
func Ask(ctx context.Context, client *http.Client, base string, cookies []*http.Cookie, method, path string, in, out any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Cordon-Reason", "laboratory") // who looks into homes says why
	for _, k := range cookies {
		req.AddCookie(k)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask core: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxText))
		return nil, errors.Join(err, &Refused{path, resp.StatusCode, string(text)})
	}
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body) // so that the connection can be used again
		return resp, err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("core's answer to %s: %w", path, err)
	}
	return resp, nil
}

// Each calls f with every record of a list of the API.
func Each[T any](ctx context.Context, c *Core, path string, query url.Values, f func(*T)) error {
	q := url.Values{"limit": {"500"}}
	for k, v := range query {
		q[k] = v
	}
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := c.Ask(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for i := range page.Items {
			f(&page.Items[i])
		}
		if page.Next == "" {
			return nil
		}
		q.Set("cursor", page.Next)
	}
}

// Operation asks for health, metrics or a profile. The caller closes the answer.
func (c *Core) Operation(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.local.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask core: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, &Refused{Path: path, Status: resp.StatusCode}
	}
	return resp.Body, nil
}

// Metrics reads what core counts, those without labels.
func (c *Core) Metrics(ctx context.Context) (map[string]float64, error) {
	body, err := c.Operation(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	all := make(map[string]float64)
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = v
		}
	}
	return all, lines.Err()
}

// Import loads a list of routers, CSV, and returns what the program says of it.
func (c *Core) Import(list io.Reader) (string, error) {
	cmd, err := c.Command("routers", "import", "-")
	if err != nil {
		return "", err
	}
	cmd.Stdin = list
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("import routers: %w: %s", err, out)
	}
	return string(out), nil
}

// Administrator makes an administrator, as who runs core, and returns his password.
func (c *Core) Administrator(email string) (password string, err error) {
	cmd, err := c.Command("admin", "create", email)
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("make an administrator: %w", err)
	}
	_, after, _ := strings.Cut(string(out), "password: ")
	password, _, ok := strings.Cut(after, "\n")
	if !ok {
		return "", fmt.Errorf("make an administrator: no password in %d bytes", len(out))
	}
	return strings.TrimSpace(password), nil
}

// Address is where one of core's doors is: "api", "gateway", "bus" or "operation".
func (c *Core) Address(door string) string { return c.at[door] }

// CA is the file with core's CA, which routers pin.
func (c *Core) CA() string { return filepath.Join(c.Dir, "keys", "ca.pem") }

// Roots is who signs core's certificates, as a router is given it.
func (c *Core) Roots() (*x509.CertPool, error) {
	pem, err := os.ReadFile(c.CA())
	if err != nil {
		return nil, fmt.Errorf("core's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("core's CA is no certificate")
	}
	return pool, nil
}
