// Package restart holds the proof that restarts and reloads lose no request: redlane in processes of its own,
// under load, taken over again and again.
//
//	wrk, clients ─► redlane ─► nginx          every request must be answered 200, none is tried twice
//	                  │ --takeover            busy ones, new connections, and connections that are idle for
//	                redlane                   a while: those a drain would like to close
//	                  │
//	                 ...
//
// make test does it a few times, make bench-restart a hundred times.
package restart
