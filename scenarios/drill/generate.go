package drill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// An Edge is one caller and one service that called each other in a recording.
type Edge struct {
	Caller  string  `json:"caller,omitempty"` // empty: the users, or unknown
	Service string  `json:"service"`
	Count   uint64  `json:"count"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
}

// String is the edge as a lease has it.
func (e *Edge) String() string { return cmp.Or(e.Caller, "*") + " -> " + e.Service }

// Edges counts who calls whom in a recording, the busiest first. Of traffic in lanes nothing is counted: that is not
// what users do.
func Edges(ctx context.Context, src traffic.Source) ([]Edge, error) {
	type seen struct {
		count   uint64
		latency hdr.Hist
	}
	all := make(map[[2]string]*seen)
	var x traffic.Exchange
	for {
		err := src.Next(ctx, &x)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read recording: %w", err)
		}
		if x.Color != "" || x.Dst == "" {
			continue
		}
		key := [2]string{x.Src, x.Dst}
		if all[key] == nil {
			all[key] = new(seen)
		}
		all[key].count++
		all[key].latency.Record(x.Latency)
	}
	var out []Edge
	for key, s := range all {
		out = append(out, Edge{Caller: key[0], Service: key[1], Count: s.count, P50: ms(s.latency.Quantile(0.5)), P99: ms(s.latency.Quantile(0.99))})
	}
	slices.SortFunc(out, func(a, b Edge) int {
		return cmp.Or(-cmp.Compare(a.Count, b.Count), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Service, b.Service))
	})
	return out, nil
}

// Kinds are the faults that are generated for every edge.
var Kinds = []string{"slow", "error", "reset", "blackhole"}

// Plan is what generated drills have in common. Zero fields take the default named beside them.
type Plan struct {
	Tape, To, Service string // required, as in Drill
	Lane, Control     traffic.Color
	Proxies           []string
	Controller        string        // of redlane inject serve; empty: the leases are armed at the proxies themselves
	Stand             time.Duration // how long each fault stands; 0 means 20s
	Share             float64       // of the exchanges; 0 means 0.3
	Times             float64       // slow: the recorded p99 of the edge, so many times; 0 means 5
	Seed              uint64
	Probes            []any // of the hypothesis, beside those that the proxies are ready
}

// leastDelay is the shortest delay that is generated: less than that does not show.
const leastDelay = 10 * time.Millisecond

// leastGuard is the error rate of the lane at which a generated drill ends: above any share that is asked for by
// default, and to be set to what is known of the system.
const leastGuard = 0.5

// A Generated is one experiment: its file name and its text.
type Generated struct {
	Name  string
	Edges []Edge
	Kind  string
	Text  []byte
}

// Generate makes one drill for each edge and kind, in the order of the edges. pairs adds one for each two edges, both
// slow at once.
func Generate(edges []Edge, p Plan, pairs bool) ([]Generated, error) {
	var out []Generated
	add := func(kind string, edges ...Edge) error {
		one, err := p.one(kind, edges)
		if err == nil {
			one.Name = fmt.Sprintf("%03d-%s.json", len(out)+1, one.Name)
			out = append(out, one)
		}
		return err
	}
	for _, e := range edges {
		for _, kind := range Kinds {
			if err := add(kind, e); err != nil {
				return nil, err
			}
		}
	}
	for i := range edges {
		for k := i + 1; pairs && k < len(edges); k++ {
			if err := add("slow", edges[i], edges[k]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// fault is what a kind is at an edge.
func (p *Plan) fault(kind string, e *Edge) map[string]any {
	switch kind {
	case "slow":
		delay := max(leastDelay, time.Duration(e.P99*cmp.Or(p.Times, 5)*1e6)).Round(time.Millisecond)
		return map[string]any{"fault": "latency", "delay": delay.String()}
	case "error":
		return map[string]any{"fault": "abort", "status": 503}
	}
	return map[string]any{"fault": kind}
}

func (p *Plan) one(kind string, edges []Edge) (g Generated, err error) {
	name := strings.NewReplacer(" -> ", "-to-", "*", "users")
	var names, words []string
	for i := range edges {
		names, words = append(names, name.Replace(edges[i].String())), append(words, edges[i].String())
	}
	id := strings.Join(names, "-and-") + "-" + kind
	stand := cmp.Or(p.Stand, 20*time.Second)
	var method, rollbacks []any
	for i := range edges {
		arm, disarm := p.activities(fmt.Sprintf("%s-%d", kind, i+1), kind, &edges[i], stand)
		method, rollbacks = append(method, arm...), append(rollbacks, disarm...)
	}
	method[len(method)-1].(map[string]any)["pauses"] = map[string]any{"after": stand.Seconds()}
	lane := string(p.Lane)
	x := map[string]any{
		"version": "1.0.0", "title": fmt.Sprintf("%s holds while %s is %s", p.Service, strings.Join(words, " and "), adjective(kind)),
		"description": fmt.Sprintf("generated from %s: %d exchanges on the edge, p99 %.4g ms", p.Tape, edges[0].Count, edges[0].P99),
		"tags":        []string{"lane:" + lane, "edge:" + strings.Join(words, ","), "fault:" + kind},
		"configuration": map[string]any{
			"token": map[string]any{"type": "env", "key": "REDLANE_DRILL_TOKEN", "default": "none"},
		},
		"steady-state-hypothesis": map[string]any{"title": "the proxies are ready", "probes": append(p.ready(), p.Probes...)},
		"method":                  method, "rollbacks": rollbacks,
		"runtime": map[string]any{"rollbacks": map[string]any{"strategy": "always"}},
		"extensions": []any{map[string]any{
			"name": ExtensionName, "lane": lane, "control_lane": string(p.Control), "edge": edges[0].String(), "tape": p.Tape, "to": p.To,
			"service": p.Service, "proxies": p.Proxies, "seed": p.Seed,
			"guard": map[string]any{"error_rate": leastGuard},
		}},
	}
	text, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return g, fmt.Errorf("generate drill: %w", err)
	}
	text = []byte(strings.ReplaceAll(string(text), `\u003e`, ">"))
	if _, err := Parse(id, text); err != nil {
		return g, fmt.Errorf("generate drill: %w", err)
	}
	return Generated{Name: id, Edges: edges, Kind: kind, Text: append(text, '\n')}, nil
}

func adjective(kind string) string {
	return map[string]string{"slow": "slow", "error": "answering 503", "reset": "reset", "blackhole": "silent"}[kind]
}

// activities arm a lease and end it: through the controller, or at every proxy.
func (p *Plan) activities(id, kind string, e *Edge, stand time.Duration) (arm, disarm []any) {
	bases, path := p.Proxies, "/faults"
	if p.Controller != "" {
		bases, path = []string{p.Controller}, "/v1/faults"
	}
	for _, base := range bases {
		base = strings.TrimSuffix(base, "/")
		lease := p.fault(kind, e)
		for key, value := range map[string]any{
			"id": id, "lane": string(p.Lane), "edge": e.String(), "share": cmp.Or(p.Share, 0.3), "seed": p.Seed, "ttl": (stand + 30*time.Second).String(),
		} {
			lease[key] = value
		}
		arm = append(arm, map[string]any{"type": "action", "name": "arm " + id + " at " + base, "provider": map[string]any{
			"type": "http", "method": "POST", "url": base + path, "expected_status": 201, "arguments": lease, "timeout": 10,
			"headers": map[string]any{"Content-Type": "application/json", "x-redlane-drill": "${token}"},
		}})
		disarm = append(disarm, map[string]any{"type": "action", "name": "disarm " + id + " at " + base, "provider": map[string]any{
			"type": "http", "method": "DELETE", "url": base + path + "/" + id, "timeout": 10,
		}})
	}
	return arm, disarm
}

func (p *Plan) ready() (probes []any) {
	for _, base := range p.Proxies {
		probes = append(probes, map[string]any{"type": "probe", "name": "proxy " + base + " is ready", "tolerance": 200, "provider": map[string]any{
			"type": "http", "url": strings.TrimSuffix(base, "/") + "/ready", "timeout": 10,
		}})
	}
	return probes
}
