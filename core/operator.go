package core

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"

	"cordon"
	"cordon/core/api"
	"cordon/core/auth"
	"cordon/core/config"
)

// operator is who gives orders on the machine itself.
var operator = auth.Core("cordon-core")

// maxOrder bounds an order, in bytes.
const maxOrder = 4 << 10

// Administrator is somebody who may do everything, with the password that nobody can
// read again.
type Administrator struct {
	Email    string `json:"email"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password,omitempty"`
}

// Dial returns a client of the core that runs with a configuration, which does whatever
// its user's orders are: requests to http://localhost reach its API as an administrator,
// its health and metrics, and the orders below.
func Dial(cfg config.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", cfg.Socket())
	}}}
}

// orders is what comes in through the socket: the API as who runs core, and what only he
// may do.
func (c *Core) orders(health http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", health)
	mux.Handle("/v1/", c.api)
	mux.HandleFunc("POST /operator/administrators", c.orderAdministrator)
	mux.HandleFunc("GET /operator/records", c.orderRecords)
	return mux
}

// orderAdministrator makes an administrator.
func (c *Core) orderAdministrator(w http.ResponseWriter, r *http.Request) {
	var a Administrator
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&a); err != nil {
		api.Refuse(w, r, errors.Join(cordon.ErrInvalid, err))
		return
	}
	var err error
	if a.Password, err = c.auth.MakeAdministrator(r.Context(), a.Email, a.Name); err != nil {
		api.Refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a)
}

// orderRecords writes everything in the database. An answer that breaks off is not
// whole.
func (c *Core) orderRecords(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	if err := c.store.Dump(r.Context(), w); err != nil {
		c.log.ErrorContext(r.Context(), "records not written", "err", err)
		panic(http.ErrAbortHandler) // the status went out: only a cut shows it
	}
}
