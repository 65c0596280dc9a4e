package notify

import (
	"bytes"
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"cordon"
	"cordon/internal/webhook"
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
)

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
	if err := webhook.CheckForm(w.URL); err != nil {
		return fmt.Errorf("webhook: %w", err)
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
	r.Header.Set(HeaderSignature, sign(w.Secret, n.cfg.Now(), data))
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
		return fmt.Errorf("address %q: %w", address, webhook.ErrForbidden)
	}
	return n.check(ap.Addr())
}

// sign returns the signature of a call: HMAC-SHA256 with the webhook's secret over the
// time in seconds, a dot and the body.
func sign(secret []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(seconds + "."))
	h.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(h.Sum(nil))
}
