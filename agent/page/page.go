// Package page is what a device that has been cut off shows its owner, if it has a
// screen: a page on the router that says which device, since when, why, what still
// works, what to do now, and how to get out.
//
// The router redirects the device's plain HTTP to it; whatever is asked for, this
// is the answer. There is nothing on it to press: malware could press it too. Only
// another device, in the provider's portal, lets this one out.
package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"cordon"
)

// Config configures a Page.
type Config struct {
	// Lookup tells whether the device that a request came from is cut off, and what
	// to say about it. The address has no zone. It must be safe for concurrent use.
	Lookup func(remote netip.AddrPort) (Notice, bool)
	Brand  string // the provider's name; empty: "your internet provider"
	// PortalURL is where the customer lets devices out, http or https; empty: it is
	// only spoken of.
	PortalURL string
	Support   string // how to reach a person, in words or a number; may be empty
	// Languages are those offered (RFC 5646), the first is the default. One that the
	// page is not translated to is left out. None: all, English first.
	Languages []string
	Location  *time.Location // of the times shown; nil: local
}

// Notice is what is told about one device. All texts may be hostile.
type Notice struct {
	Device  string        // as its owner knows it
	Kinds   []cordon.Kind // what it did, the worst first
	Reason  string        // in words a customer understands, English; may be empty
	Since   cordon.Time   // zero: unknown
	Until   cordon.Time   // zero: until it is let out
	ByHand  bool          // the customer or the provider cut it off, not the router
	Updates bool          // its maker's update servers can be reached
}

// Page is the handler. It is safe for concurrent use.
type Page struct {
	cfg       Config
	languages []string
	policy    string // Content-Security-Policy
}

// New returns a Page.
func New(cfg Config) (*Page, error) {
	if cfg.Lookup == nil {
		return nil, fmt.Errorf("page: Lookup is required")
	}
	if cfg.PortalURL != "" {
		u, err := url.Parse(cfg.PortalURL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("portal address %q: want http or https", cfg.PortalURL)
		}
	}
	p := &Page{cfg: cfg}
	for _, tag := range cfg.Languages {
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if _, ok := catalogues[primary]; ok && !slices.Contains(p.languages, primary) {
			p.languages = append(p.languages, primary)
		}
	}
	if len(p.languages) == 0 {
		p.languages = []string{"en", "de", "es"}
	}
	if p.cfg.Location == nil {
		p.cfg.Location = time.Local
	}
	p.policy = "default-src 'none'; style-src '" + styleHash + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return p, nil
}

// probes are what phones, televisions and computers ask for to find out whether
// they are online. They get a redirection, which all of them take for a page that
// the user must see: Android and ChromeOS, Windows, GNOME and KDE, Firefox, Amazon,
// Samsung.
var probes = []string{"/generate_204", "/gen_204", "/connecttest.txt", "/ncsi.txt", "/redirect",
	"/check_network_status.txt", "/nm", "/nm-check.txt", "/success.txt", "/canonical.html", "/kindle-wifi/wifistub.html",
	"/mobile/status.php"}

// shown are the paths that show the page at once: the one that probes are sent to,
// and Apple's, whose assistant follows no redirection before it opens.
var shown = []string{"/", "/hotspot-detect.html", "/library/test/success.html"}

// api is where RFC 8908's answer is. The address is not announced by DHCP, as that
// wants HTTPS (RFC 8910 §2); it is there for those that look.
const api = "/.well-known/captive-portal"

// ServeHTTP answers a request of a device that is cut off.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.head(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "There is nothing to do on this page.", http.StatusMethodNotAllowed)
		return
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, "unknown sender", http.StatusBadRequest)
		return
	}
	notice, cut := p.cfg.Lookup(netip.AddrPortFrom(remote.Addr().Unmap().WithZone(""), remote.Port()))
	switch {
	case r.URL.Path == api:
		p.captive(w, r, cut)
	case !cut:
		p.write(w, r, http.StatusNotFound, nil)
	case slices.Contains(probes, r.URL.Path):
		w.Header().Set("Location", home(r))
		w.WriteHeader(http.StatusFound)
	case slices.Contains(shown, r.URL.Path) || strings.Contains(r.Header.Get("Accept"), "text/html"):
		p.write(w, r, http.StatusOK, &notice)
	default:
		// A program that wants no page, a firmware update perhaps, must not take
		// this for what it asked for (RFC 6585 §6).
		p.write(w, r, http.StatusNetworkAuthenticationRequired, &notice)
	}
}

// head sets what all answers say: nobody keeps them, nothing in them runs or is
// fetched from elsewhere.
func (p *Page) head(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// home returns the address of the page itself: the host that was asked for, whose
// name the device has already resolved, or the router.
func home(r *http.Request) string {
	host := r.Host
	if u, err := url.Parse("http://" + host + "/"); err != nil || host == "" || u.Host != host || len(host) > 255 {
		return "/"
	}
	return "http://" + host + "/"
}

// captive answers as RFC 8908 §5 says.
func (p *Page) captive(w http.ResponseWriter, r *http.Request, cut bool) {
	answer := struct {
		Captive bool   `json:"captive"`
		Portal  string `json:"user-portal-url,omitempty"`
	}{Captive: cut}
	if cut {
		answer.Portal = cmp.Or(p.cfg.PortalURL, home(r))
	}
	w.Header().Set("Content-Type", "application/captive+json")
	body, err := json.Marshal(answer)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Write(body)
}

// write shows the page about a device, or that the device is not cut off.
func (p *Page) write(w http.ResponseWriter, r *http.Request, status int, n *Notice) {
	language := p.language(r)
	c := p.content(language, n)
	text := c.html()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", language)
	h.Set("Content-Length", fmt.Sprint(len(text)))
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, text)
	}
}

// language chooses the page's language: the one asked for in the address, else the
// best of what the browser accepts, else the first.
func (p *Page) language(r *http.Request) string {
	// Not r.URL.Query, which reads a query of any length into a map.
	if l, ok := strings.CutPrefix(r.URL.RawQuery, "lang="); ok && slices.Contains(p.languages, l) {
		return l
	}
	return accepted(r.Header.Get("Accept-Language"), p.languages)
}
