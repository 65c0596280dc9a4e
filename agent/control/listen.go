package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that a process answers on the socket already: stop it first.
var ErrInUse = errors.New("another agent answers there")

// socketMode lets the owner and the group in.
const socketMode = 0o660

// Listen listens on a Unix socket that only root, the process's user and a group
// may use; an empty group means the process's own. The socket of a process that is
// gone is replaced, anything else at path is left alone. It is made beside its place
// and renamed, so that at no moment somebody else can connect.
func Listen(path, group string) (net.Listener, error) {
	if err := replaceable(path); err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	gid, err := groupID(group)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	made := path + ".new"
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket %s: no directory %s: make it, for the agent's user", path, filepath.Dir(path))
	} else if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := admit(made, path, gid); err != nil {
		l.Close()
		os.Remove(made)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mine, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &listener{UnixListener: l, path: path, mine: mine, free: make(chan struct{}, maxConns), closed: make(chan struct{})}, nil
}

// admit gives the socket its group and mode, and then its name.
func admit(made, path string, gid int) error {
	if gid >= 0 {
		if err := os.Chown(made, -1, gid); err != nil {
			return fmt.Errorf("%w: is the agent's user a member of the group?", err)
		}
	}
	if err := os.Chmod(made, socketMode); err != nil {
		return err
	}
	return os.Rename(made, path)
}

// replaceable reports an error when path is not free and not a dead socket.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errors.New("there is something that is no socket; remove it")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return ErrInUse
	}
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// groupID returns the number of a group, -1 for the empty name.
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("group %q: there is none; add it, or mend control.group in the configuration", group)
	}
	return strconv.Atoi(g.Gid)
}

// listener gives at most maxConns connections at once; more wait.
type listener struct {
	*net.UnixListener
	path   string
	mine   os.FileInfo // the socket as it was made
	free   chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a connection and for room.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.AcceptUnix()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &conn{UnixConn: c, release: sync.OnceFunc(func() { <-l.free })}, nil
}

// Close stops listening and takes the socket away, unless another process has put
// its own there.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		if now, serr := os.Lstat(l.path); serr == nil && os.SameFile(now, l.mine) {
			os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}

// conn makes room when it is closed.
type conn struct {
	*net.UnixConn
	release func()
}

func (c *conn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}

// peer is the process at the other end of a connection when it connected.
type peer struct {
	known    bool
	uid, pid int64
}

// String names the user, as far as it has a name here.
func (p peer) String() string {
	if !p.known {
		return "unknown user"
	}
	uid := strconv.FormatInt(p.uid, 10)
	if u, err := user.LookupId(uid); err == nil && printable(u.Username) {
		return u.Username
	}
	return "uid " + uid
}

type peerKey struct{}

// withPeer keeps with a connection's context who is at its other end.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	own, ok := c.(*conn)
	if !ok {
		return ctx
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return ctx
	}
	var p peer
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			p = peer{known: true, uid: int64(cred.Uid), pid: int64(cred.Pid)}
		}
	})
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}
