package rewrite

import "github.com/cespare/xxhash/v2"

// Places that are no JSON member, so that a header and a member of one name stay apart.
const (
	placeJSON    = 0x6a736f6e
	placeElement = 0x5b5d
	placeCookie  = 0x636f6f6b6965
	placeHeader  = 0x686561646572
	placeText    = 0x74657874
	placeHTML    = 0x68746d6c
	placePath    = 0x70617468
	placeQuery   = 0x7175657279
)

func hash(b []byte) uint64 { return xxhash.Sum64(b) }

// hashFold is hash with ASCII case ignored, for names of headers: they are short.
func hashFold(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(lower(c))) * 1099511628211
	}
	return mix(h)
}

// mix is splitmix64's finaliser.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
