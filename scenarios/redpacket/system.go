package redpacket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

// System lists the processes that a mesh configuration needs of the sample system: one for each endpoint of each of
// the four services, in every lane, calling the others through the listeners that are theirs. all is what they have
// in common. Services of other names are left alone.
func System(m *mesh.Config, all Config) ([]Config, error) {
	var out []Config
	add := func(name string, lane traffic.Color, addr string) error {
		one := all
		one.Service, one.Lane, one.Listen, one.Upstreams = name, lane, addr, make(map[string]string)
		who := name
		if lane != "" {
			who += "@" + string(lane)
		}
		for _, callee := range calls[name] {
			svc := m.Services[callee]
			if svc == nil || svc.Callers[who] == "" {
				return fmt.Errorf("run redpacket: service %s has no listener for %s under callers", callee, who)
			}
			one.Upstreams[callee] = svc.Callers[who]
		}
		out = append(out, one)
		return nil
	}
	for _, name := range slices.Backward(Services()) { // those that are called first
		svc := m.Services[name]
		if svc == nil {
			return nil, fmt.Errorf("run redpacket: the mesh has no service %s", name)
		}
		for _, addr := range svc.Endpoints {
			if err := add(name, "", addr); err != nil {
				return nil, err
			}
		}
		for _, lane := range slices.Sorted(maps.Keys(svc.Lanes)) {
			for _, addr := range svc.Lanes[lane].Endpoints {
				if err := add(name, lane, addr); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// RunSystem runs all of them in this process until ctx ends, or one of them does.
func RunSystem(ctx context.Context, all []Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			errs[i] = Run(ctx, all[i])
			cancel()
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
