package main

import (
	"net/http"
	"time"

	"github.com/redlane/redlane/injector/envoy"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

// newEnvoy is the dialect of Envoy's fault headers, where the configuration asks for it.
func (f *faultPlane) newEnvoy() *envoy.Dialect {
	if f.start.Drills == nil || !f.start.Drills.EnvoyHeaders {
		return nil
	}
	return envoy.New(envoy.Config{
		Clock: clock.System, Header: token.Header,
		Verify: func(text string, lane traffic.Color, now time.Time) (envoy.Permit, error) {
			keys, err := f.inForce().DrillKeys()
			if err != nil {
				return envoy.Permit{}, err
			}
			t, err := token.Verify(keys, text, lane, now)
			if err != nil {
				return envoy.Permit{}, err
			}
			return envoy.Permit{Issued: t.Issued(), Expires: t.Expires}, nil
		},
	})
}

// alsoHalt has POST /halt end what headers asked for too.
func (f *faultPlane) alsoHalt(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.envoy != nil && r.URL.Path == "/halt" && r.Method == http.MethodPost {
			f.envoy.Halt()
		}
		next.ServeHTTP(w, r)
	})
}
