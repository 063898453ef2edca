package recorder

// A Reason names why an exchange is lost. The set is fixed, so that losses can be counted without memory.
type Reason uint8

// The reasons. The first six are the recorder's own, the others are told by sources, see Tap.Lose.
const (
	LostMemory     Reason = iota // a body found no room in Config.BodyMemory
	LostPages                    // all pages were waiting for the disk
	LostSize                     // it is larger than a tape's records may be
	LostDisk                     // the disk was full, or failed now or earlier in this run
	LostUnfinished               // it had begun before the tap was on, or was not over when the tap went off
	LostQuota                    // the tape had reached its quota, and nothing of it might be deleted
	LostGap                      // bytes of its connection were never seen
	LostTruncated                // a packet of it was captured only in part
	LostProtocol                 // the bytes are not HTTP/1.1, or break it
	LostFormat                   // its entry in a file cannot be read as an exchange
	numReasons
)

var reasonNames = [numReasons]string{"memory", "pages", "size", "disk", "unfinished", "quota", "gap", "truncated", "protocol", "format"}

func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "invalid"
}
