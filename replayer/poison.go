package replayer

import "github.com/redlane/redlane/internal/invariant"

// poison fills all of b's memory, which nobody may read any more, where such checks are compiled in.
func poison(b []byte) { invariant.Poison(b[:cap(b)]) }
