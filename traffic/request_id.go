package traffic

import "encoding/hex"

// TraceID is the trace id in the value of a W3C traceparent header, zero if there is none.
func TraceID(traceparent []byte) (id [16]byte) {
	if t := traceparent; len(t) >= 55 && t[2] == '-' && t[35] == '-' {
		if _, err := hex.Decode(id[:], t[3:35]); err != nil {
			return [16]byte{}
		}
	}
	return id
}

// RequestID turns the value of an x-request-id header into an Exchange.ID: FNV-1a with a final mix, so
// that the same request has the same number, and so the same luck, at every hop and in every run.
func RequestID(value []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range value {
		h = (h ^ uint64(c)) * 1099511628211
	}
	// splitmix64's finaliser: FNV's high bits are weak on short input.
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
