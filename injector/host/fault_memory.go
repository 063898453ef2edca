package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("memory", func() Fault { return new(Memory) })

// Memory holds memory beside the target: in its cgroup, where it comes out of what the cgroup may use, or on
// the whole host. When the kernel runs out of it, the keeper is the first to be killed, and with it the fault.
type Memory struct {
	Size conf.Bytes `yaml:"size"` // required
}

func (m *Memory) check(t *Target) error {
	switch {
	case m.Size <= 0:
		return errors.New("size: say how much, such as 64MiB")
	case !t.Host && t.Cgroup == "":
		return errors.New("target: want one named by cgroup, or a whole host: memory cannot be taken from one process alone")
	}
	return nil
}

func (m *Memory) cost(Caps) cost { return cost{memory: m.Size} }

func (m *Memory) hold(g *ground) (release func(), got string, err error) {
	free, err := available()
	if err != nil {
		return nil, "", err
	}
	if free-m.Size < g.caps.Spare {
		return nil, "", fmt.Errorf("size: %s of the machine's memory are available, and %s of them stay free (caps.spare)", free, g.caps.Spare)
	}
	if err := g.join("memory"); err != nil {
		return nil, "", err
	}
	// The fault is to be the first to die, not what is tested. A process may always ask for that.
	if err := writeFile("/proc/self/oom_score_adj", "1000"); err != nil {
		return nil, "", err
	}
	mem, err := unix.Mmap(-1, 0, int(m.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, "", fmt.Errorf("take %s of memory: %w", m.Size, err)
	}
	for at := 0; at < len(mem); at += os.Getpagesize() {
		mem[at] = 1 // a page that nobody wrote to is not there
	}
	return func() { _ = unix.Munmap(mem) }, m.Size.String(), nil // it is mapped: that cannot fail
}

// available is how much memory can be taken without the machine beginning to swap, as the kernel estimates.
func available() (conf.Bytes, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nMemAvailable:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read /proc/meminfo: %w", err)
	}
	return conf.Bytes(kib << 10), nil
}
