package clickhouse

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// An Address says where recordings lie, and maybe which one is meant.
type Address struct {
	Host      string // HOST:PORT; the port is 9000 unless given
	Database  string // "redlane" unless given; made if missing
	User      string // "default" unless given
	Password  string
	Recording string // empty: none in particular
}

const (
	defaultPort     = "9000"
	defaultDatabase = "redlane"
	defaultUser     = "default"
	example         = "clickhouse://127.0.0.1:9000/redlane?recording=eve"
)

var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// ParseURL reads clickhouse://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?recording=NAME]. Its errors do not
// repeat the password.
func ParseURL(text string) (Address, error) {
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
	case u.Scheme != "clickhouse":
		return fail("not a ClickHouse URL: want %s", example)
	case u.Hostname() == "":
		return fail("no host: want %s", example)
	case u.Fragment != "":
		return fail("a # is not expected: write it as %%23")
	}
	a := Address{Host: u.Host, Database: strings.Trim(u.Path, "/"), User: u.User.Username()}
	a.Password, _ = u.User.Password()
	if u.Port() == "" {
		a.Host = net.JoinHostPort(u.Hostname(), defaultPort)
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
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("%v", err)
	}
	for key, values := range query {
		switch {
		case key != "recording":
			return fail("no setting %q: there is only recording", key)
		case len(values) > 1:
			return fail("recording is given twice")
		}
		a.Recording = values[0]
		if err := checkName(a.Recording); err != nil {
			return fail("%v", err)
		}
	}
	return a, nil
}

// maxName is the longest name of a recording in bytes.
const maxName = 200

func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("recording %.80q: want a name of 1 to %d bytes of printable text", name, maxName)
	}
	return nil
}

// String is the URL without user and password: for people, logs and files.
func (a Address) String() string {
	u := url.URL{Scheme: "clickhouse", Host: a.Host, Path: "/" + a.Database}
	if a.Recording != "" {
		u.RawQuery = url.Values{"recording": {a.Recording}}.Encode()
	}
	return u.String()
}

// loopback reports whether bytes to a never leave this machine.
func (a Address) loopback() bool {
	host, _, err := net.SplitHostPort(a.Host)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// table is the quoted name of a table of a's database.
func (a Address) table(name string) string { return "`" + a.Database + "`." + name }
