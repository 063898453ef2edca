package scenarios

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/traffic"
)

// invariantsPath is where a service says what must hold of its own state, as JSON:
//
//	{"invariants": [{"name": "money is conserved", "ok": true, "detail": "1000 = 400 left + 600 credited"}]}
//
// The sample system serves it; a service that does not is left out.
const invariantsPath = "/invariants"

// maxInvariants bounds what is read of one answer, in bytes.
const maxInvariants = 1 << 20

// askInvariants asks every endpoint of every service, past the proxy: invariants are about instances.
func askInvariants(ctx context.Context, s *Scenario) (all []reports.Invariant) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for name, svc := range s.Services {
		for _, addr := range svc.Endpoints {
			all = append(all, ask(ctx, &client, name, "", addr)...)
		}
		for color, lane := range svc.Lanes {
			for _, addr := range lane.Endpoints {
				all = append(all, ask(ctx, &client, name, color, addr)...)
			}
		}
	}
	slices.SortFunc(all, func(a, b reports.Invariant) int {
		return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func ask(ctx context.Context, client *http.Client, service string, lane traffic.Color, addr string) []reports.Invariant {
	answer := func(name string, err error) []reports.Invariant {
		return []reports.Invariant{{Service: service, Lane: string(lane), Name: name, Detail: err.Error()}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+invariantsPath, nil)
	if err != nil {
		return answer("instance can be asked", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer("instance answers", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil // it makes no promises
	}
	var told struct {
		Invariants []struct {
			Name   string `json:"name"`
			OK     bool   `json:"ok"`
			Detail string `json:"detail"`
		} `json:"invariants"`
	}
	if resp.StatusCode != http.StatusOK {
		return answer("instance answers", fmt.Errorf("GET %s: %s", invariantsPath, resp.Status))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxInvariants)).Decode(&told); err != nil {
		return answer("instance answers", fmt.Errorf("GET %s: %w", invariantsPath, err))
	}
	all := make([]reports.Invariant, len(told.Invariants))
	for i, inv := range told.Invariants {
		all[i] = reports.Invariant{Service: service, Lane: string(lane), Name: inv.Name, OK: inv.OK, Detail: inv.Detail}
	}
	return all
}
