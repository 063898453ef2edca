package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

// An actor carries out activities.
type actor struct {
	clock   clock.Clock
	http    *http.Client
	config  values
	secrets map[string]values
	rewrite func(target string, body any) any // of JSON bodies; nil changes nothing
}

// maxOutput bounds what is kept of an answer or of a process's output, in bytes.
const maxOutput = 1 << 20

// longestActivity is how long an activity without a timeout may take.
const longestActivity = 5 * time.Minute

// do carries out a and returns what the journal says of it. Pauses are not part of its duration.
func (a *actor) do(ctx context.Context, act *Activity) Outcome {
	began := a.clock.Now()
	output, err := a.provide(ctx, &act.Provider)
	out := Outcome{Activity: act.plain, Status: succeeded, Output: output}
	if err != nil {
		out.Status, out.Exception = failed, []string{err.Error()}
	}
	if act.Tolerance != nil && err == nil {
		why := act.Tolerance.Met(output)
		met := why == ""
		out.Met, out.Why = &met, why
	}
	out.time(began, a.clock.Now())
	return out
}

func (a *actor) provide(ctx context.Context, p *Provider) (any, error) {
	limit := p.Timeout
	if limit == 0 {
		limit = longestActivity
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	vs := maps.Clone(a.config)
	for _, group := range p.Secrets {
		maps.Copy(vs, a.secrets[group])
	}
	if p.Type == "process" {
		return a.process(ctx, p, vs)
	}
	return a.ask(ctx, p, vs)
}

// ask is the http provider: the arguments of a GET are its query, those of other methods the body, as JSON where a
// header says so and as a form where not.
func (a *actor) ask(ctx context.Context, p *Provider, vs values) (any, error) {
	header := make(http.Header)
	for name, value := range p.Headers {
		header.Set(name, vs.text(value))
	}
	target, body := vs.text(p.URL), io.Reader(nil)
	switch args := vs.fill(p.Arguments); {
	case args == nil:
	case p.Method == "GET" || p.Method == "HEAD":
		u, err := url.Parse(target)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		query := u.Query()
		maps.Copy(query, form(args))
		u.RawQuery = query.Encode()
		target = u.String()
	case strings.Contains(header.Get("Content-Type"), "application/json"):
		if a.rewrite != nil {
			args = a.rewrite(target, args)
		}
		text, err := json.Marshal(args)
		if err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		body = bytes.NewReader(text)
	default:
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		body = strings.NewReader(form(args).Encode())
	}
	req, err := http.NewRequestWithContext(ctx, p.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	req.Header = header
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", target, err)
	}
	out := map[string]any{"status": resp.StatusCode, "headers": flat(resp.Header), "body": string(text)}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "application/json" {
		var decoded any
		if json.Unmarshal(text, &decoded) == nil {
			out["body"] = decoded
		}
	}
	if p.Expected != 0 && resp.StatusCode != p.Expected {
		return out, fmt.Errorf("ask %s: want status %d, found %d: %s", target, p.Expected, resp.StatusCode, firstLine(text))
	}
	return out, nil
}

func flat(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, all := range h {
		out[name] = strings.Join(all, ", ")
	}
	return out
}

// form writes a mapping as the pairs of a form; anything that is no mapping has none.
func form(args any) url.Values {
	pairs := make(url.Values)
	m, _ := args.(map[string]any)
	for key, value := range m {
		if list, ok := value.([]any); ok {
			for _, one := range list {
				pairs.Add(key, fmt.Sprint(one))
			}
			continue
		}
		pairs.Set(key, fmt.Sprint(value))
	}
	return pairs
}

// process runs a program to its end.
func (a *actor) process(ctx context.Context, p *Provider, vs values) (any, error) {
	cmd := exec.CommandContext(ctx, vs.text(p.Path), words(vs.fill(p.Arguments))...)
	cmd.WaitDelay = time.Second // for children that hold its output open
	stdout, stderr := new(limited), new(limited)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("run %s: %w", p.Path, err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run %s: %w", p.Path, ctx.Err())
	}
	return map[string]any{"status": cmd.ProcessState.ExitCode(), "stdout": stdout.String(), "stderr": stderr.String()}, nil
}

// words are the arguments of a program: of a list its members, of a mapping keys and values in turn, of a text its
// words.
func words(args any) (out []string) {
	switch args := args.(type) {
	case nil:
	case string:
		out = strings.Fields(args)
	case []any:
		for _, one := range args {
			out = append(out, fmt.Sprint(one))
		}
	case map[string]any:
		for _, key := range sortedKeys(args) {
			out = append(out, key)
			if v := args[key]; v != nil && v != "" {
				out = append(out, fmt.Sprint(v))
			}
		}
	default:
		out = append(out, fmt.Sprint(args))
	}
	return out
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	l.Buffer.Write(b[:min(len(b), maxOutput-l.Len())])
	return len(b), nil
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	return string(line[:min(len(line), 200)])
}
