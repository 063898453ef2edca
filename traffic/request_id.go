package traffic

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
