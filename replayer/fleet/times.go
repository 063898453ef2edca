package fleet

import "time"

// The times that hold a fleet together. A worker that is cut off has sent its last request after
// renewEvery + ahead, well before leaseTime is over and others go on.
const (
	renewEvery = 250 * time.Millisecond // leases
	ahead      = 450 * time.Millisecond // how far before its due time a request is written down
	clockEvery = 3 * time.Second
	beatEvery  = 200 * time.Millisecond
	beatFresh  = 400 * time.Millisecond // older, and nothing more is written down
	leaseTime  = time.Second            // without renewal, or without a beat
	holdTime   = 3 * time.Second        // the same, when most are silent; and for a worker that is, before it gives up
	askTime    = 600 * time.Millisecond // for one renewal
	patience   = 10 * time.Second       // without a beat before T0, when nothing is sent yet
	firstAsk   = 2 * time.Second        // for a result to be taken, before it is sent again
	stopTime   = 5 * time.Second        // for the last result to be taken
	openTime   = 30 * time.Second       // for opening a recording and reading ahead
)

// Subjects and names on the bus.
const callSubject = "redlane.fleet.call"

func subject(run, what string) string   { return "redlane.fleet." + run + "." + what }
func orderSubject(run, w string) string { return subject(run, "to."+w) }
func leaseBucket(run string) string     { return "redlane-fleet-" + run }
