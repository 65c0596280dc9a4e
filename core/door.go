package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"cordon/core/auth"
)

// door is where somebody is answered over HTTP.
type door struct {
	name    string         // the section of the configuration
	at      netip.AddrPort // or:
	socket  string         // the path of a socket, of which the directory is ours alone
	handler http.Handler
	subject auth.Subject // as whom everybody comes in; zero: the request says who it is from
	tls     *tls.Config  // nil: none
	ends    func()       // ends answers that would go on for ever; nil: there are none

	listener net.Listener
}

// socketMode lets only who runs core give it orders.
const socketMode = 0o600

// open opens the listener. Its error names what to change.
func (d *door) open(ctx context.Context) error {
	var lc net.ListenConfig
	network, at := "tcp", d.at.String()
	if d.socket != "" {
		network, at = "unix", d.socket
		if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) { // left by a core that was killed
			return d.failed(err)
		}
	}
	l, err := lc.Listen(ctx, network, at)
	if err != nil {
		return d.failed(err)
	}
	if d.socket != "" {
		if err := os.Chmod(at, socketMode); err != nil {
			l.Close()
			return d.failed(err)
		}
	}
	d.listener = l
	return nil
}

// failed names the key of the configuration that an error is about.
func (d *door) failed(err error) error {
	if d.socket != "" {
		return fmt.Errorf("dir: %w", err)
	}
	return fmt.Errorf("%s.listen: %w", d.name, err)
}

// Times of the HTTP servers: how long the head of a request may take, how long a
// connection may stay that asks for nothing, and how long what was begun may take at
// the end.
const (
	headWithin = 10 * time.Second
	idleFor    = 2 * time.Minute
	drainFor   = 10 * time.Second
)

// serve answers until ctx is done, then lets what was begun finish.
func (d *door) serve(ctx context.Context) error {
	requests, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if d.subject.User != "" {
		requests = auth.With(requests, d.subject)
	}
	s := &http.Server{Handler: d.handler, TLSConfig: d.tls, ReadHeaderTimeout: headWithin, IdleTimeout: idleFor, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return requests }}
	if d.ends != nil {
		s.RegisterOnShutdown(d.ends)
	}
	ended := make(chan error, 1)
	go func() {
		if d.tls != nil {
			ended <- s.ServeTLS(d.listener, "", "")
			return
		}
		ended <- s.Serve(d.listener)
	}()
	select {
	case err := <-ended:
		return d.failed(err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(requests, drainFor)
	defer cancel()
	if err := s.Shutdown(drain); err != nil {
		s.Close()
	}
	return ctx.Err()
}

// certificate returns a configuration with the certificate in two files, which are read
// again when they change: whoever renews it need not stop core. No files: nil.
func certificate(cert, key string) (*tls.Config, error) {
	if cert == "" {
		return nil, nil
	}
	f := &files{cert: cert, key: key}
	_, err := f.get(nil)
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: f.get}, err
}

// files is a certificate in files.
type files struct {
	cert, key string

	mu     sync.Mutex
	looked time.Time        // guarded by mu
	stamp  [2]time.Time     // of what was read; guarded by mu
	read   *tls.Certificate // guarded by mu
}

// lookEvery is how often it is looked whether the files have changed.
const lookEvery = time.Minute

// get returns the certificate. Files that cannot be used leave the last one in place.
func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.read != nil && now.Sub(f.looked) < lookEvery {
		return f.read, nil
	}
	f.looked = now
	var stamp [2]time.Time
	for i, name := range []string{f.cert, f.key} {
		if s, err := os.Stat(name); err == nil {
			stamp[i] = s.ModTime()
		}
	}
	if f.read != nil && stamp == f.stamp {
		return f.read, nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		if f.read != nil {
			return f.read, nil
		}
		return nil, fmt.Errorf("api.tls_cert, api.tls_key: %w", err)
	}
	f.read, f.stamp = &c, stamp
	return f.read, nil
}
