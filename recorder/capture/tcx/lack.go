package tcx

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/recorder/capture"
)

// Probe says in one line why this process cannot capture with BPF here, and what would help; nil when it can. It
// attaches the program to the loopback interface for a moment, where it looks for no packet.
func Probe() error {
	cfg := Config{Interfaces: []string{"lo"}, Services: []capture.Service{{Port: 1}}, Ring: 2 * smallestRing, Share: 0.5, Workers: 2} // every part of the program
	if err := cfg.check(); err != nil {
		return err
	}
	cfg.Services = nil
	s, err := open(cfg)
	if err != nil {
		return err
	}
	s.Close()
	return nil
}

// lack says what an error of the kernel means for who runs this.
func lack(err error) error {
	var refused *ebpf.VerifierError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("this kernel (%s) does not take the program: %w; capture with packets", release(), err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if mode := lockdown("/sys/kernel/security/lockdown"); mode == "confidentiality" {
			return errors.New("the kernel is locked down (confidentiality) and lets no program read packets: boot with lockdown=integrity, or capture with packets")
		}
		return fmt.Errorf("needs the capabilities CAP_BPF and CAP_NET_ADMIN, and a container runtime that does not forbid the system call bpf: %w", last(err))
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("needs Linux 6.6 with CONFIG_BPF_SYSCALL and CONFIG_NET_XGRESS, this is %s: capture with packets", release())
	}
	return err
}

// last is the cause at the end of the chain: the kernel's word without the library's guesses.
func last(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// lockdown reads the mode in force from a line such as "none [integrity] confidentiality".
func lockdown(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "none" // no such security module
	}
	_, after, _ := strings.Cut(string(text), "[")
	mode, _, _ := strings.Cut(after, "]")
	return mode
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "another"
	}
	return unix.ByteSliceToString(u.Release[:])
}
