package redpacket

import "net/http"

// DoubleIssue is a planted mistake, for drills to find: when it is not known whether a packet was opened, shake issues
// another for the same win, while the settler sees to it that the first is opened as well. It is the retry with a new
// key that every system of this kind gets wrong once. Nothing shows while all calls succeed, and users never complain
// about it.
const DoubleIssue = "double-issue"

// issueAgain is the mistake.
func (s *shake) issueAgain(r *http.Request, result *Shaken, before error) (opened, error) {
	seed, why := s.pool.give(result.User, 0)
	if why != "" {
		return opened{}, before
	}
	result.Packet = packetID(s.cfg.Lane, seed)
	return s.open(r, seed, openBody{result.Packet, result.User})
}
