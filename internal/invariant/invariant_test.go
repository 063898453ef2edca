package invariant_test

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/invariant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPoison(t *testing.T) {
	for n := range 70 {
		b := make([]byte, n+1)
		invariant.Poison(b[:n])
		if invariant.On {
			require.Equal(t, n, bytes.Count(b, []byte{invariant.PoisonByte}))
		}
		require.Zero(t, b[n], "past the end")
	}
	b := []byte("released")
	invariant.Poison(b)
	if invariant.On {
		require.Equal(t, bytes.Repeat([]byte{invariant.PoisonByte}, len(b)), b)
	} else {
		require.Equal(t, "released", string(b))
	}
}

func TestChecksPanicOnlyWhenOn(t *testing.T) {
	f := func(name string, breaks func(s *invariant.Serial)) {
		t.Helper()
		run := func() { breaks(new(invariant.Serial)) }
		if invariant.On {
			require.Panics(t, run, name)
		} else {
			require.NotPanics(t, run, name)
		}
	}
	f("check", func(*invariant.Serial) { invariant.Check(false, "it is false") })
	f("nested", func(s *invariant.Serial) { s.Enter("x"); s.Enter("x") })
	f("not entered", func(s *invariant.Serial) { s.Leave("x") })
	f("left", func(s *invariant.Serial) { s.Enter("x"); s.Leave("x"); s.Inside("x is over") })
}

func TestCorrectUseIsQuiet(t *testing.T) {
	var s invariant.Serial
	for range 3 {
		s.Enter("x")
		s.Inside("within x")
		s.Leave("x")
	}
	invariant.Check(true, "it is true")
}

func TestOffCostsNothing(t *testing.T) {
	if invariant.On {
		t.Skip("checks are on in this build")
	}
	require.Zero(t, unsafe.Sizeof(invariant.Serial{}))
}
