package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cordon"
)

// Headers of a call.
const (
	HeaderSignature = "Cordon-Signature" // "t=SECONDS,v1=HEX"
	HeaderDelivery  = "Cordon-Delivery"  // names the event; the same in each try
	HeaderTry       = "Cordon-Try"       // from 1
	HeaderMissed    = "Cordon-Missed"    // events that were left out before this one; not there: none
)

// Bounds of a call.
const (
	callTime   = 10 * time.Second // all of it
	dialTime   = 5 * time.Second
	maxAnswer  = 4 << 10  // bytes of the answer that are read, so that the connection ends well
	maxHeaders = 16 << 10 // bytes
	maxDialled = 3        // addresses of a name that are tried
	// tolerance is how old a signature may be to Verify: a call that somebody held
	// back and sent later is not taken.
	tolerance = 5 * time.Minute
)

// ErrForbidden means that a webhook leads where none may.
var ErrForbidden = errors.New("no webhook may go there")

// body is what a call says: that something changed, not what. Who is called asks the
// API, as whoever he is there.
type body struct {
	Delivery string           `json:"delivery"`
	Webhook  string           `json:"webhook"`
	Sort     cordon.EventSort `json:"sort"`
	Account  string           `json:"account"`
	Site     string           `json:"site,omitempty"`
	ID       string           `json:"id"`
	Level    string           `json:"level,omitempty"`
	At       time.Time        `json:"at"`
}

// call is one event for one webhook.
type call struct {
	delivery string
	event    cordon.Event
	try      int // from 1
	missed   int // events that were left out before it
}

// post makes a call. Any answer of 200 to 299 is good; redirects are not followed.
func (n *Notifier) post(ctx context.Context, w *cordon.Webhook, c *call) error {
	if err := checkURL(w.URL); err != nil {
		return err
	}
	b := body{Delivery: c.delivery, Webhook: w.ID, Sort: c.event.Sort, Account: c.event.Account, Site: c.event.Site, ID: c.event.ID, At: c.event.At.Std()}
	if c.event.Level != cordon.None {
		b.Level = c.event.Level.String()
	}
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode call: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Cordon-Webhook/1")
	r.Header.Set(HeaderSignature, Sign(w.Secret, n.cfg.Now(), data))
	r.Header.Set(HeaderDelivery, c.delivery)
	r.Header.Set(HeaderTry, strconv.Itoa(c.try))
	if c.missed > 0 {
		r.Header.Set(HeaderMissed, strconv.Itoa(c.missed))
	}
	answer, err := n.client.Do(r)
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, maxAnswer)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("call: answered %d", answer.StatusCode)
	}
	return nil
}

// checkURL refuses what no webhook may be, before its name is looked up. Ports below 1024
// but that of https belong to other services, which must not be poked at.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || err != nil || port != 443 && port < 1024 {
		return fmt.Errorf("webhook %s://%s: want https, no user, port 443 or 1024 and more: %w", u.Scheme, u.Host, ErrForbidden)
	}
	return nil
}

// newClient returns the client of all calls. It asks no proxy, keeps no connection, so that
// every call is checked anew, and follows no redirect.
func (n *Notifier) newClient() *http.Client {
	return &http.Client{
		Timeout: callTime,
		Transport: &http.Transport{DialContext: n.dial, DisableKeepAlives: true, TLSHandshakeTimeout: dialTime,
			ResponseHeaderTimeout: callTime, MaxResponseHeaderBytes: maxHeaders, DisableCompression: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: n.cfg.Roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dial looks the name up itself and connects to what it found, never to the name: what
// was checked is what is called. One forbidden address among good ones is enough to
// refuse them all, as no honest name has that.
func (n *Notifier) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := n.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := n.check(a); err != nil {
			return nil, err
		}
	}
	d := net.Dialer{Timeout: dialTime, Control: n.control}
	var errs error
	for _, a := range addrs[:min(len(addrs), maxDialled)] {
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

// lookup returns the addresses of a host, at least one.
func (n *Notifier) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := n.cfg.Resolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".") // the full name: no search domains
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%q has no address", host)
	}
	return addrs, err
}

// control is called with the address to which a socket is about to be connected.
func (n *Notifier) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, ErrForbidden)
	}
	return n.check(ap.Addr())
}

// Sign returns the signature of a call: HMAC-SHA256 with the webhook's secret over the
// time in seconds, a dot and the body.
func Sign(secret []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac(secret, seconds, body))
}

// mac is the code that Sign writes.
func mac(secret []byte, seconds string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(seconds + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Verify reports whether a signature is of that body and at most five minutes from now.
// It is for who is called.
func Verify(secret []byte, signature string, body []byte, now time.Time) bool {
	t, v1, ok := strings.Cut(signature, ",")
	seconds, ok1 := strings.CutPrefix(t, "t=")
	code, ok2 := strings.CutPrefix(v1, "v1=")
	at, err1 := strconv.ParseInt(seconds, 10, 64)
	got, err2 := hex.DecodeString(code)
	return ok && ok1 && ok2 && err1 == nil && err2 == nil && hmac.Equal(got, mac(secret, seconds, body)) &&
		now.Sub(time.Unix(at, 0)).Abs() <= tolerance
}
