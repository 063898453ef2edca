package redpacket

import (
	"strconv"
	"strings"

	"github.com/redlane/redlane/traffic"
)

// ID is name as known in lane: name itself in the baseline, red.name in lane red.
func ID(lane traffic.Color, name string) string {
	if lane == "" {
		return name
	}
	return string(lane) + "." + name
}

// splitID is the inverse of ID.
func splitID(id string) (lane traffic.Color, name string) {
	if l, name, ok := strings.Cut(id, "."); ok {
		return traffic.Color(l), name
	}
	return "", id
}

// packetID names the packet that grows from seed n.
func packetID(lane traffic.Color, n int) string { return ID(lane, "p"+strconv.Itoa(n)) }

// seedOf is the inverse of packetID, for 0 <= n < seeds.
func seedOf(id string, seeds int) (n int, ok bool) {
	_, name := splitID(id)
	digits, ok := strings.CutPrefix(name, "p")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n >= seeds || strconv.Itoa(n) != digits {
		return 0, false
	}
	return n, true
}

// validUser reports whether name may be a user: 1 to 64 letters, digits, _ and -.
func validUser(name string) bool {
	if len(name) == 0 || len(name) > 64 {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return !(r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) < 0
}
