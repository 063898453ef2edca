package main

import "time"

// levels are the numbers of connections. At 1 the cost is sleeping and waking; at 64 a good proxy finds
// several requests each time it looks; at 512 what is kept for each connection no longer fits the caches.
var levels = []int{1, 8, 64, 512}

// A plan is how long everything takes.
type plan struct {
	name       string
	rounds     int           // of the comparisons that give ratios
	few        int           // of the others
	warm, load time.Duration // of each sample
	again      time.Duration // each comparison may spend on taking again what came out dirty
	most       time.Duration // then it gives up
	idle       int           // connections held to see what one costs
	idleBusy   int           // connections held while others are busy
}

func planOf(quick bool) plan {
	if quick {
		return plan{name: "quick", rounds: 3, few: 1, warm: 200 * time.Millisecond, load: 700 * time.Millisecond, again: 4 * time.Second, most: 4 * time.Minute, idle: 10_000, idleBusy: 20_000}
	}
	return plan{name: "full", rounds: 5, few: 3, warm: 700 * time.Millisecond, load: 3 * time.Second, again: 25 * time.Second, most: 20 * time.Minute, idle: 10_000, idleBusy: 20_000}
}
