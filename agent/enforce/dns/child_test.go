package dns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/agent/enforce/dns"
)

// asGuard is the variable that makes the test's binary a guard: the live tests
// start it on the router, so that it can be killed and stopped. Its value is the
// LAN interfaces, separated by blanks.
const asGuard = "CORDON_TEST_DNS_GUARD"

// asRouted makes such a guard use policy routing.
const asRouted = "CORDON_TEST_DNS_ROUTED"

// asLoad makes the test's binary a source of questions; see load_test.go.
const asLoad = "CORDON_TEST_DNS_LOAD"

// asServer makes the test's binary a server that answers at once.
const asServer = "CORDON_TEST_DNS_SERVER"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asGuard) != "":
		os.Exit(status(runGuard(strings.Fields(os.Getenv(asGuard)))))
	case os.Getenv(asLoad) != "":
		os.Exit(status(runLoad(os.Getenv(asLoad))))
	case os.Getenv(asServer) != "":
		os.Exit(status(runServer(os.Getenv(asServer))))
	}
	os.Exit(m.Run())
}

func status(err error) int {
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// pages are what page.test is redirected to.
var pages = [2]netip.Addr{netip.MustParseAddr("192.168.77.1"), netip.MustParseAddr("fd77::1")}

// runGuard is a guard that judges by what a name ends with, until it is told to
// stop. It stops beating on SIGUSR1 and hangs in Decide when asked for stuck.test.
func runGuard(lan []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, syscall.SIGUSR1)
	var asked atomic.Uint64
	g, err := dns.New(dns.Config{
		LAN: lan, Routed: os.Getenv(asRouted) != "", Log: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Decide: func(q *dns.Query) dns.Verdict {
			asked.Add(1)
			return decide(q)
		},
		Opened: func(mac cordon.MAC, src netip.Addr, name string, addrs []netip.Addr, ttl time.Duration) error {
			if strings.HasPrefix(name, "closed.") {
				return errors.New("cannot open")
			}
			fmt.Println("opened", mac, src, name, addrs, ttl)
			return nil
		},
		Resolver: func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")} },
	})
	if err != nil {
		return err
	}
	go beat(ctx, g, deaf)
	err = g.Run(ctx)
	fmt.Printf("stats %+v\n", g.Stats())
	return err
}

// beat beats until told not to.
func beat(ctx context.Context, g *dns.Guard, deaf <-chan os.Signal) {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-deaf:
			return
		case <-ticker.C:
			g.Beat()
		}
	}
}

func decide(q *dns.Query) dns.Verdict {
	switch {
	case bytes.HasSuffix(q.Name, []byte("blocked.test")):
		return dns.Verdict{Do: dns.Refuse, EDE: dns.EDEBlocked, Text: "stopped for your safety"}
	case bytes.HasSuffix(q.Name, []byte("filtered.test")):
		return dns.Verdict{Do: dns.Refuse, EDE: dns.EDEFiltered}
	case bytes.HasSuffix(q.Name, []byte("page.test")):
		return dns.Verdict{Do: dns.Redirect, EDE: dns.EDEForged, Page: pages}
	case bytes.HasSuffix(q.Name, []byte("resolve.test")):
		return dns.Verdict{Do: dns.Resolve}
	case bytes.HasSuffix(q.Name, []byte("stuck.test")):
		select {}
	case bytes.HasSuffix(q.Name, []byte("who.test")):
		fmt.Println("who", q.MAC, q.Src.Addr(), q.Dst, string(q.Name), q.Type)
	}
	return dns.Verdict{}
}
