package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

const secrets = 1000

const secretRules = `key: {env: REDLANE_REDACT_KEY}
rules:
  - headers: [x-api-key]
    query: [token]
    form: [password]
    json: [password, card.number]
    inside: ['*']
    match: ['pin=([\w-]+)']
  - when: {header: x-region, in: [eu, uk]}
    json: [mail]
    do: drop
  - when: {json: region, in: [eu, uk]}
    json: [mail]
    do: drop
  - headers: [x-account]
    json: [account]
    do: hash
`

const noRules = "defaults: off\nrules: []\n"

// A thousand secrets pass a proxy that records, each in one of forty places, and none is found again: not in
// any file, not in what the files hold. Without rules all of them are.
func TestNoSecretIsStored(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		clickhouse  bool
	}{
		{"tape", secretRules, false}, {"tape without rules", noRules, false},
		{"ClickHouse", secretRules, true}, {"ClickHouse without rules", noRules, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			kept := filepath.Join(dir, "kept") // what is on a disk when all is over
			to := "tape://" + filepath.Join(kept, "tape")
			if c.clickhouse {
				to = "clickhouse://" + startClickHouse(t, filepath.Join(kept, "ch")) + "/lab?recording=eve"
			}
			rules := filepath.Join(dir, "rules.yaml")
			require.NoError(t, os.WriteFile(rules, []byte(c.rules), 0o600))
			t.Setenv("REDLANE_REDACT_KEY", "a key that nobody knows")
			listen := testkit.FreeAddr(t)
			rec := startRecord(t, dir, listen, startAnswers(t), filepath.Join(kept, "unused"),
				"--redact-rules", rules, "--to", to, "--spool", filepath.Join(kept, "spool"))
			plant(t, listen)
			out := rec.stop(t)
			require.Contains(t, out, fmt.Sprintf("accepted %d = passed %[1]d ", secrets))

			found := make(map[int]bool)
			hashes := make(map[string]int)
			n := 0
			readBack(t, to, func(x *traffic.Exchange) {
				n++
				look(found, flat(x))
				if v := x.Request.Get("x-account"); v != nil {
					hashes[string(v)]++
					require.Contains(t, string(x.Request.Body), string(v), "equal stays equal")
				}
				if strings.HasSuffix(string(x.Request.Get("content-encoding")), "rot13") && c.rules == secretRules {
					require.Empty(t, x.Request.Body)
					require.True(t, x.Flags.Has(traffic.FlagRequestCut|traffic.FlagRedacted))
				}
			})
			require.Equal(t, secrets, n)
			require.Len(t, hashes, secrets/len(places), "and different stays different")
			if c.clickhouse {
				lookIntoRows(t, to, found)
			}
			files := lookIntoFiles(t, kept, found)
			require.Greater(t, files, 2)
			if c.rules == secretRules {
				require.Empty(t, found)
				return
			}
			for i := range secrets { // one that is not found without rules says nothing with them
				require.True(t, found[i], "secret %d, place %d", i, i%len(places))
			}
		})
	}
}

// startAnswers is a service that answers what the place in its path says.
func startAnswers(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		if err != nil || i >= secrets {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if p := places[i%len(places)](secretText(i)); p.answer != nil {
			p.answer(w)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// plant sends every secret once, each piece of a chunked body as a segment of its own.
func plant(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range secrets {
		p := places[i%len(places)](secretText(i))
		method := "GET"
		if p.body != "" {
			method = "POST"
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s /%d%s HTTP/1.1\r\nHost: web\r\n", method, i, p.target)
		for _, h := range p.head {
			b.WriteString(h + "\r\n")
		}
		switch {
		case p.chunk > 0:
			b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			for rest := p.body; rest != ""; {
				_, err = c.Write(b.Bytes())
				require.NoError(t, err)
				b.Reset()
				n := min(p.chunk, len(rest))
				fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
			}
			b.WriteString("0\r\n")
			if p.trailer != "" {
				b.WriteString(p.trailer + "\r\n")
			}
			b.WriteString("\r\n")
		case p.body != "":
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(p.body), p.body)
		default:
			b.WriteString("\r\n")
		}
		_, err = c.Write(b.Bytes())
		require.NoError(t, err)
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, "exchange %d", i)
	}
}

func startClickHouse(t *testing.T, data string) (addr string) {
	library, err := chserver.FindLibrary()
	if err != nil {
		t.Skipf("no ClickHouse here: %v", err)
	}
	bin := filepath.Join(t.TempDir(), chserver.LauncherName)
	build := exec.Command("go", "build", "-o", bin, "../"+chserver.LauncherName)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	addr = testkit.FreeAddr(t)
	cmd := exec.Command(bin, "--data", data, "--listen", addr, "--library", library)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	testkit.WaitForPort(t, addr)
	return addr
}

func readBack(t *testing.T, name string, f func(x *traffic.Exchange)) {
	t.Helper()
	src, err := store.Open(t.Context(), name)
	require.NoError(t, err)
	defer src.Close()
	x := new(traffic.Exchange)
	for {
		if err = src.Next(context.Background(), x); err != nil {
			break
		}
		f(x)
	}
	require.ErrorIs(t, err, io.EOF)
}

// flat is everything an exchange says.
func flat(x *traffic.Exchange) []byte {
	var b bytes.Buffer
	for _, m := range []*traffic.Message{&x.Request, &x.Response} {
		fmt.Fprintf(&b, "%s %s\n", m.Target, m.Reason)
		for _, lines := range [][]traffic.Header{m.Headers, m.Trailers} {
			for _, h := range lines {
				fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
			}
		}
		b.Write(unpacked(string(m.Get("content-encoding")), m.Body))
	}
	return b.Bytes()
}

// look notes which secrets are in b, in each of the forms they were written in.
func look(found map[int]bool, b []byte) {
	forms := []func(string) string{func(s string) string { return s }, percented, unicoded, basic}
	for k, form := range forms {
		name := []byte(strings.TrimRight(form(secretName), "="))
		if k == 3 {
			name = name[:8] // of base64, what does not depend on what follows
		}
		for at := 0; ; at++ {
			next := bytes.Index(b[at:], name)
			if next < 0 {
				break
			}
			at += next
			i := 0
			for ; i < secrets && !bytes.HasPrefix(b[at:], []byte(form(secretText(i)))); i++ {
			}
			if i == secrets {
				i = -at // a part of one
			}
			found[i] = true
		}
	}
}

// lookIntoRows greps every column of every row.
func lookIntoRows(t *testing.T, url string, found map[int]bool) {
	t.Helper()
	addr, _, _ := strings.Cut(strings.TrimPrefix(url, "clickhouse://"), "/")
	db, err := driver.Open(&driver.Options{Addr: []string{addr}})
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query(t.Context(), "SELECT formatRowNoNewline('TSVRaw', *) FROM lab.exchange")
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var row string
		require.NoError(t, rows.Scan(&row))
		look(found, []byte(row))
	}
	require.NoError(t, rows.Err())
	require.Equal(t, secrets, n)
}

// lookIntoFiles greps every file below dir and returns how many there are.
func lookIntoFiles(t *testing.T, dir string, found map[int]bool) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // ClickHouse clears up
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		look(found, b)
		n++
		return err
	})
	require.NoError(t, err)
	return n
}
