package conformance

import (
	"testing"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/invariant"
)

// Run tests the drivers that newDriver makes, one for each test. Drivers should have more than one loop.
func Run(t *testing.T, newDriver func(engine.NewHandler) engine.Driver) {
	s := &suite{newDriver}
	for _, test := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"Accept", (*suite).accept},
		{"Crosstalk", (*suite).crosstalk},
		{"SendWhileDialling", (*suite).sendWhileDialling},
		{"AnyChunking", (*suite).anyChunking},
		{"SlowReader", (*suite).slowReader},
		{"SlowWriter", (*suite).slowWriter},
		{"BulkBothWays", (*suite).bulkBothWays},
		{"UnixSockets", (*suite).unixSockets},
		{"WritableAfterQueue", (*suite).writableAfterQueue},
		{"BurstsAtOnce", (*suite).burstsAtOnce},
		{"HeldBuffers", (*suite).heldBuffers},
		{"PauseHolds", (*suite).pauseHolds},
		{"PausingReader", (*suite).pausingReader},
		{"PauseStorm", (*suite).pauseStorm},
		{"HalfClose", (*suite).halfClose},
		{"CloseAfterQueue", (*suite).closeAfterQueue},
		{"CloseWriteAfterQueue", (*suite).closeWriteAfterQueue},
		{"CloseIsSilent", (*suite).closeIsSilent},
		{"InFlight", (*suite).inFlight},
		{"Reset", (*suite).reset},
		{"ResetByPeer", (*suite).resetByPeer},
		{"ResetAnywhere", (*suite).resetAnywhere},
		{"ResetByPeerAnywhere", (*suite).resetByPeerAnywhere},
		{"ResetInBacklog", (*suite).resetInBacklog},
		{"LastWords", (*suite).lastWords},
		{"StaleHandles", (*suite).staleHandles},
		{"DialErrors", (*suite).dialErrors},
		{"DialTimeout", (*suite).dialTimeout},
		{"DialGivenUp", (*suite).dialGivenUp},
		{"DialStorm", (*suite).dialStorm},
		{"DialWithoutDescriptors", (*suite).dialWithoutDescriptors},
		{"Timers", (*suite).timers},
		{"TimerMoves", (*suite).timerMoves},
		{"TimerOfClosed", (*suite).timerOfClosed},
		{"TimersKeepTime", (*suite).timersKeepTime},
		{"Alarm", (*suite).alarm},
		{"AlarmTicks", (*suite).alarmTicks},
		{"AlarmAtTheEnd", (*suite).alarmAtTheEnd},
		{"IdleTimeout", (*suite).idleTimeout},
		{"HeaderTimeout", (*suite).headerTimeout},
		{"ListenerClose", (*suite).listenerClose},
		{"ListenerCloseServes", (*suite).listenerCloseServes},
		{"ListenErrors", (*suite).listenErrors},
		{"ListenUnix", (*suite).listenUnix},
		{"HandOver", (*suite).handOver},
		{"Group", (*suite).group},
		{"CloseTells", (*suite).closeTells},
		{"NoDescriptorsLeft", (*suite).noDescriptorsLeft},
		{"Post", (*suite).post},
		{"PostOutsideRun", (*suite).postOutsideRun},
		{"Each", (*suite).each},
		{"FloodStarvesNobody", (*suite).floodStarvesNobody},
		{"PostsStarveNobody", (*suite).postsStarveNobody},
		{"TimersStarveNobody", (*suite).timersStarveNobody},
		{"Drain", (*suite).drain},
		{"Shutdown", (*suite).shutdown},
		{"ShutdownCause", (*suite).shutdownCause},
		{"Churn", (*suite).churn},
		{"Join", (*suite).join},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(s, t) })
	}
}

type suite struct {
	newDriver func(engine.NewHandler) engine.Driver
}

// size is full, or part of it where time is short.
func size(full, part int) int {
	if testing.Short() || invariant.On {
		return part
	}
	return full
}
