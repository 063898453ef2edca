package clickhouse

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redlane/redlane/internal/chconn"
)

// An Address says where recordings lie, and maybe which one is meant.
type Address struct {
	Hosts     []string      // HOST:PORT each, sorted; the port is 9000 unless given, 9440 with TLS
	Database  string        // "redlane" unless given; made if missing
	User      string        // "default" unless given
	Password  string        //
	Cluster   string        // as the servers know it; empty: Hosts are all there is
	Recording string        // empty: none in particular
	Keep      time.Duration // how long the store keeps what is uploaded from here; 0: until it is removed
	TLS       chconn.TLS    // of every host, those of a cluster included
}

const (
	defaultPort     = "9000"
	securePort      = "9440"
	defaultDatabase = "redlane"
	defaultUser     = "default"
	example         = "clickhouse://127.0.0.1:9000/redlane?recording=eve"
	scheme          = "clickhouse://"
)

// Names stand between back quotes in statements.
var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// ParseURL reads clickhouse://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/DATABASE] with the settings
// recording=NAME, cluster=NAME, keep=TIME, such as 12h or 30d, secure=true for TLS and ca=FILE for whom to trust then. Its
// errors do not repeat the password.
func ParseURL(text string) (Address, error) {
	text, more := splitHosts(text)
	u, err := url.Parse(text)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err // without the URL
		}
		return Address{}, fmt.Errorf("not a URL: %w: want %s", err, example)
	}
	fail := func(format string, a ...any) (Address, error) {
		return Address{}, fmt.Errorf("%s: %s", u.Redacted(), fmt.Sprintf(format, a...))
	}
	switch {
	case u.Scheme+"://" != scheme:
		return fail("not a ClickHouse URL: want %s", example)
	case u.Fragment != "":
		return fail("a # is not expected: write it as %%23")
	}
	a := Address{Database: strings.Trim(u.Path, "/"), User: u.User.Username()}
	a.Password, _ = u.User.Password()
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("%v", err)
	}
	for key, values := range query {
		if len(values) > 1 {
			return fail("%s is given twice", key)
		}
		if err := a.set(key, values[0]); err != nil {
			return fail("%v", err)
		}
	}
	port := defaultPort
	switch {
	case a.TLS.On:
		port = securePort
	case a.TLS.CA != "":
		return fail("ca without secure=true: there would be no TLS")
	}
	for i := range len(more) + 1 {
		at := u
		if i > 0 {
			if at, err = url.Parse(scheme + more[i-1]); err != nil {
				return fail("host %.80q is not HOST:PORT", more[i-1])
			}
		}
		switch {
		case at.Hostname() == "":
			return fail("no host: want %s", example)
		case at.Port() == "":
			a.Hosts = append(a.Hosts, net.JoinHostPort(at.Hostname(), port))
		default:
			a.Hosts = append(a.Hosts, at.Host)
		}
	}
	slices.Sort(a.Hosts) // which shard lies where must not hang on how somebody wrote the URL
	if n := len(a.Hosts); len(slices.Compact(a.Hosts)) < n {
		return fail("a host is named twice")
	}
	if a.Database == "" {
		a.Database = defaultDatabase
	}
	if a.User == "" {
		a.User = defaultUser
	}
	if !databaseName.MatchString(a.Database) {
		return fail("database %q: want letters, digits, _ and -, at most 64", a.Database)
	}
	if n := len(a.Hosts); a.Cluster == "" && n > shards {
		return fail("%d hosts: a recording has %d shards", n, shards)
	}
	return a, nil
}

// splitHosts takes all hosts but the first out of text: net/url knows only one.
func splitHosts(text string) (one string, more []string) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return text, nil
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := strings.Split(rest[start:end], ",")
	return scheme + rest[:start] + hosts[0] + rest[end:], hosts[1:]
}

func (a *Address) set(key, value string) (err error) {
	switch key {
	case "recording":
		a.Recording = value
		return checkName(value)
	case "cluster":
		a.Cluster = value
		if !databaseName.MatchString(value) {
			return fmt.Errorf("cluster %.80q: want letters, digits, _ and -, at most 64", value)
		}
	case "keep":
		if a.Keep, err = parseKeep(value); err != nil || a.Keep <= 0 {
			return fmt.Errorf("keep %.80q: want a time such as 12h or 30d", value)
		}
	case "secure":
		if a.TLS.On = value == "true"; !a.TLS.On && value != "false" {
			return fmt.Errorf("secure %.80q: want true or false", value)
		}
	case "ca":
		if a.TLS.CA = value; value == "" {
			return errors.New("ca: want a file of certificates in PEM")
		}
	default:
		return fmt.Errorf("no setting %q: there are recording, cluster, keep, secure and ca", key)
	}
	return nil
}

// maxKeep is less than what a DateTime has left until 2106.
const maxKeep = 50 * 365

func parseKeep(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if n > maxKeep {
		err = strconv.ErrRange
	}
	return time.Duration(n) * 24 * time.Hour, err
}

// maxName is the longest name of a recording in bytes.
const maxName = 200

func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("recording %.80q: want a name of 1 to %d bytes of printable text", name, maxName)
	}
	return nil
}

// String is the URL without user, password and settings that say nothing about where: for people, logs
// and files.
func (a Address) String() string {
	u := url.URL{Scheme: strings.TrimSuffix(scheme, "://"), Host: strings.Join(a.Hosts, ","), Path: "/" + a.Database}
	q := url.Values{}
	if a.Recording != "" {
		q.Set("recording", a.Recording)
	}
	if a.Cluster != "" {
		q.Set("cluster", a.Cluster)
	}
	if a.TLS.On {
		q.Set("secure", "true")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (a Address) public() Address {
	a.User, a.Password, a.Keep, a.TLS = "", "", 0, chconn.TLS{}
	return a
}

// on is a with other hosts, of which each holds the same rows.
func (a Address) on(hosts ...string) Address {
	a.Hosts, a.Cluster = hosts, ""
	return a
}

// table is the quoted name of a table of a's database.
func (a Address) table(name string) string { return "`" + a.Database + "`." + name }
