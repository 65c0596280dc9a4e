package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// readView asks the kernel for all interfaces, addresses and routes.
func readView() (*view, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	v := &view{vlans: make(map[int][]uint16)}
	if err := dump(c, unix.RTM_GETLINK, make([]byte, ifInfoLen), func(b []byte) error {
		l, err := decodeLink(b)
		v.links = append(v.links, l)
		return err
	}, func() { v.links = nil }); err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	if err := dump(c, unix.RTM_GETADDR, make([]byte, ifAddrLen), func(b []byte) error {
		a, err := decodeAddress(b)
		v.addrs = append(v.addrs, a)
		return err
	}, func() { v.addrs = nil }); err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	if err := dump(c, unix.RTM_GETROUTE, make([]byte, rtMsgLen), func(b []byte) error {
		r, err := decodeRoutes(b)
		v.routes = append(v.routes, r...)
		return err
	}, func() { v.routes = nil }); err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return v, v.readVLANs(c)
}

// readVLANs asks for the VLANs of each bridge port, if there is a VLAN that sits
// on a bridge.
func (v *view) readVLANs(c *netlink.Conn) error {
	needed := false
	for k := range v.links {
		lower := v.byIndex(v.links[k].lower)
		needed = needed || v.links[k].kind == "vlan" && lower != nil && lower.kind == "bridge"
	}
	if !needed {
		return nil
	}
	// struct ifinfomsg, then IFLA_EXT_MASK: RTEXT_FILTER_BRVLAN
	ask := make([]byte, ifInfoLen)
	ask[0] = unix.AF_BRIDGE
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.IFLA_EXT_MASK, filterBridgeVLAN)
	mask, err := ae.Encode()
	if err != nil {
		return err
	}
	err = dump(c, unix.RTM_GETLINK, append(ask, mask...), func(b []byte) error {
		index, vlans, err := decodeVLANs(b)
		if len(vlans) > 0 {
			v.vlans[index] = append(v.vlans[index], vlans...)
		}
		return err
	}, func() { clear(v.vlans) })
	if err != nil {
		return fmt.Errorf("list VLANs of bridge ports: %w", err)
	}
	return nil
}

// Bounds of one dump.
const (
	dumpTries   = 4                // a dump that changed meanwhile is started anew this often
	dumpTimeout = 10 * time.Second // the kernel answers at once or is in trouble
	maxDumped   = 65536            // interfaces, addresses or routes
)

// errChanging is a table that never stood still while it was listed.
var errChanging = errors.New("changes faster than it can be read")

// dump asks for a whole table and hands over each message's data. A dump that was
// interrupted by a change (NLM_F_DUMP_INTR) is thrown away and begun again.
func dump(c *netlink.Conn, kind netlink.HeaderType, ask []byte, each func([]byte) error, restart func()) error {
	for range dumpTries {
		if err := c.SetDeadline(time.Now().Add(dumpTimeout)); err != nil {
			return err
		}
		list, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump},
			Data:   ask,
		})
		if err != nil {
			return err
		}
		if len(list) > maxDumped {
			return fmt.Errorf("%d entries: too many", len(list))
		}
		interrupted := false
		for _, m := range list {
			interrupted = interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
			if err := each(m.Data); err != nil {
				return err
			}
		}
		if !interrupted {
			return nil
		}
		restart()
	}
	return errChanging
}

// watcher hears of changes.
type watcher struct {
	conn    *netlink.Conn
	log     *slog.Logger
	changed chan struct{} // holds one: something has changed
}

// groups are the rtnetlink(7) multicast groups of what view holds.
const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
	unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// watch subscribes to changes, in the caller's network namespace.
func watch(log *slog.Logger) (*watcher, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: groups})
	if err != nil {
		return nil, err
	}
	return &watcher{conn: c, log: log, changed: make(chan struct{}, 1)}, nil
}

// run tells of changes until ctx is done. What they are does not matter:
// everything is read anew. So nothing is lost either when the kernel had more to
// tell than the socket holds.
func (w *watcher) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for ctx.Err() == nil {
		_, err := w.conn.Receive()
		select {
		case w.changed <- struct{}{}:
		default:
		}
		if err == nil || errors.Is(err, unix.ENOBUFS) || ctx.Err() != nil {
			continue
		}
		w.log.WarnContext(ctx, "network changes not readable", "err", err)
		pause.Reset(time.Second)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}
