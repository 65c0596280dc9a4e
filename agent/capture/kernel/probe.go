package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// loopback is the one interface that every network namespace has.
const loopback = 1

// Probe tries whether the program can be used here, and says in one sentence why
// not. It loads a small one and, where the kernel has no tcx, attaches it to the
// loopback interface for a moment.
func Probe() error { return probe(false) }

func probe(classic bool) error {
	s, err := New(Config{Flows: 64, Pending: 64, Devices: 64, Ring: 1 << 16, Classic: classic})
	if err != nil {
		return err
	}
	defer s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	nic, err := netlink.LinkByIndex(loopback)
	if err != nil {
		return fmt.Errorf("the kernel does not tell its interfaces: %w", err)
	}
	a := &attachment{name: nic.Attrs().Name}
	if err = s.attachLinks(loopback, a); err == nil && !classic {
		closeLinks(a)
		return nil
	}
	if err := s.attachFilters(loopback, a); err != nil {
		return attachRefused(err)
	}
	return s.removeFiltersOf(loopback, a)
}

// refused says why the kernel did not take the program.
func refused(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("the kernel was built without the bpf system call: %w", err)
	case errors.As(err, &verifier) && len(verifier.Log) > 1 && !trusted():
		return fmt.Errorf("the kernel's verifier refuses the program without CAP_PERFMON, as it does before Linux 6.16: %w", err)
	case errors.As(err, &verifier) && len(verifier.Log) > 1:
		return fmt.Errorf("the kernel's verifier refuses the program: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to load eBPF: CAP_BPF and CAP_NET_ADMIN are needed, before Linux 6.16 CAP_PERFMON too: %w", err)
	case errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel lacks what the program needs, Linux 5.15 has it: %w", err)
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("no memory for the program's maps: %w", err)
	}
	return fmt.Errorf("load eBPF: %w", err)
}

// trusted reports whether this process has CAP_PERFMON, without which the verifier
// assumes that the program's author would look at what the processor only guesses
// (CAP_SYS_ADMIN contains it).
func trusted() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return true
	}
	have := func(c uint) bool { return data[c/32].Effective>>(c%32)&1 != 0 }
	return have(unix.CAP_PERFMON) || have(unix.CAP_SYS_ADMIN)
}

// attachRefused says why the program could not be put at a port.
func attachRefused(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to attach eBPF: CAP_NET_ADMIN is needed: %w", err)
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel has neither tcx nor clsact with BPF filters (sch_ingress, cls_bpf): %w", err)
	}
	return fmt.Errorf("attach eBPF: %w", err)
}
