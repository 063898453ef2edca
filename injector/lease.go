package injector

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// MaxTTL is the longest a lease may last, and the default of Config.MaxTTL: chaos that goes on for longer is an
// outage.
const MaxTTL = 30 * time.Minute

// A Lease asks for a fault. In YAML and JSON it is one flat mapping, the fault's parameters beside the rest:
//
//	{fault: latency, lane: red, edge: gateway -> packet, delay: 50ms, share: 10%, ttl: 30s}
type Lease struct {
	ID    string        // names the lease and its stream of chance; empty: the Table gives it one
	Fault Fault         // required
	Lane  traffic.Color // required: only coloured traffic can be hit
	Edge  Edge          // required

	// Which of the exchanges on Edge it is about; those not about are not looked at. Empty is all.
	Route  string // template of the path, such as /packets/{id} or /users/*/orders; see recorder/template
	Method string // to the letter, such as POST
	Header HeaderMatch

	Per   string     // what the dice are rolled for: PerRequest (empty means that), or PerConnection
	Share conf.Share // of the exchanges looked at that are struck; 0 strikes none
	Seed  uint64
	TTL   time.Duration // required, above 0: the whole life of the lease. It also ends Grace after it was added or last renewed
	Guard string        // ends the lease when it trips; empty: none

	// Hard caps on strikes, 0 for none. What they hold back passes clean and is counted as overflow.
	MaxRequests uint64 // over the life of the lease
	MaxActive   uint64 // at any one time
}

// limits of the word that holds both counters, see gate.
const (
	maxRequests = 1<<40 - 1
	maxActive   = 1<<24 - 1
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// check returns one line that begins with the key at fault.
func (l *Lease) check(maxTTL time.Duration) error {
	switch {
	case l.ID != "" && !validID.MatchString(l.ID):
		return fmt.Errorf("id: want letters, digits, dots, underscores and hyphens, at most 63, found %q", l.ID)
	case l.Fault == nil:
		return fmt.Errorf("fault: say which: %s", strings.Join(Faults(), ", "))
	case l.Lane == "":
		return errors.New("lane: say which; only coloured traffic can be hit")
	case l.Lane == "baseline":
		return errors.New("lane: the baseline cannot be hit")
	case !l.Lane.Valid():
		return fmt.Errorf("lane: not a colour: %q", l.Lane)
	case l.Edge == Edge{}:
		return errors.New("edge: say which, such as gateway -> packet")
	case !l.Edge.valid():
		return fmt.Errorf("edge: not an edge: %q", l.Edge)
	case !(l.Share >= 0 && l.Share <= 1):
		return fmt.Errorf("share: want 0%% to 100%%, found %v", l.Share)
	case l.Per != "" && l.Per != PerRequest && l.Per != PerConnection:
		return fmt.Errorf("per: want %s or %s, found %q", PerRequest, PerConnection, l.Per)
	case l.TTL <= 0:
		return errors.New("ttl: say how long, such as 30s; a fault without an end is not offered")
	case l.TTL > maxTTL:
		return fmt.Errorf("ttl: %s is above the maximum of %s", l.TTL, maxTTL)
	case l.Guard != "" && !validID.MatchString(l.Guard):
		return fmt.Errorf("guard: want the id of a guard, found %q", l.Guard)
	case l.MaxRequests > maxRequests:
		return fmt.Errorf("max_requests: at most %d", uint64(maxRequests))
	case l.MaxActive > maxActive:
		return fmt.Errorf("max_active: at most %d", uint64(maxActive))
	}
	if _, err := newScope(l); err != nil {
		return err
	}
	if c, ok := l.Fault.(checker); ok {
		if err := c.check(); err != nil {
			return err
		}
	}
	if c, ok := l.Fault.(leaseChecker); ok {
		if err := c.checkLease(l); err != nil {
			return err
		}
	}
	if AtAccept(l.Fault) {
		return l.checkConn()
	}
	return nil
}

// checkConn refuses what cannot be asked of a connection, of which nothing has been read.
func (l *Lease) checkConn() error {
	switch {
	case l.Route != "" || l.Method != "" || l.Header != HeaderMatch{}:
		return errors.New("fault: it strikes connections as they open, which have no route, method or header yet")
	case l.Per == PerRequest:
		return errors.New("per: the fault strikes connections as they open")
	case l.MaxActive != 0:
		return errors.New("max_active: the fault strikes connections as they open and is over at once; use max_requests")
	}
	return nil
}
