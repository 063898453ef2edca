package chance

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendUUID(t *testing.T) {
	f := func(hi, lo uint64, want string) {
		t.Helper()
		require.Equal(t, "x"+want, string(AppendUUID([]byte("x"), hi, lo)))
	}
	f(0, 0, "00000000-0000-8000-8000-000000000000")
	f(0x0123456789abcdef, 0xfedcba9876543210, "01234567-89ab-8def-bedc-ba9876543210")
	r := Stream(1, "uuid", 0)
	for range 10_000 {
		hi, lo := r.Uint64(), r.Uint64()
		h, l := hi&^0xf000|0x8000, lo&^(3<<62)|2<<62
		f(hi, lo, fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", h>>32, h>>16&0xffff, h&0xffff, l>>48, l&(1<<48-1)))
	}
}
