package tcx

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the kernel leaves in a ring is read up to the first record that is not whole, in order, and what was
// given up is passed over.
func TestRing(t *testing.T) {
	var read, written uint64
	r := &ring{read: &read, written: &written, records: make([]byte, 8192), mask: 4095}
	put := func(flags uint32, data string) {
		at := written & r.mask
		binary.NativeEndian.PutUint32(r.records[at:], uint32(len(data))|flags)
		copy(r.records[at+ringHeader:], data)
		written += (ringHeader + uint64(len(data)) + 7) &^ 7
	}
	f := func(went uint64, want ...string) {
		t.Helper()
		var got []string
		require.Equal(t, went, r.each(func(record []byte) { got = append(got, string(record)) }))
		require.Equal(t, want, got)
	}
	f(0)
	put(0, "one")
	put(0, "exactly8")
	put(ringDiscard, "given up")
	put(0, "")
	f(16+16+16+8, "one", "exactly8", "")
	require.Equal(t, written, read, "the room is the kernel's again")
	f(0)

	busy := written
	put(ringBusy, "not yet")
	put(0, "after")
	f(0)
	binary.NativeEndian.PutUint32(r.records[busy:], 7)
	f(16+16, "not yet", "after")

	for written < 4096-8 {
		put(0, "")
		r.each(func([]byte) {})
	}
	put(0, "over the end") // the second copy of the memory begins where the first ends
	f(24, "over the end")
	require.EqualValues(t, 4096+16, read)
}
