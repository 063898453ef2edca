package lab

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartsAreChosenByName(t *testing.T) {
	var ran []string
	parts := NewParts[*[]string](map[string]Goal{"x": AtMost(1), "y": AtMost(1)})
	add := func(name, key string, err error) {
		parts.Add(name, []string{key}, func(b *[]string, _ context.Context) error { *b = append(*b, name); return err })
	}
	add("second", "y", nil)
	add("first", "x", nil)
	require.Panics(t, func() { add("first", "x", nil) }, "twice")
	require.Panics(t, func() { add("third", "z", nil) }, "no goal")

	all, err := parts.Choose("")
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "first", all[0].Name)
	one, err := parts.Choose("second")
	require.NoError(t, err)
	require.Len(t, one, 1)
	require.NoError(t, one[0].Measure(t.Context(), &ran, NewReport(), map[string]bool{"y": true}))
	require.Equal(t, []string{"second"}, ran)
	require.ErrorContains(t, all[0].Measure(t.Context(), &ran, NewReport(), nil), "part first gives no x")
	_, err = parts.Choose("secnd")
	require.EqualError(t, err, `no part "secnd": there are first, second`)

	parts = NewParts[*[]string](nil)
	parts.Add("broken", nil, func(*[]string, context.Context) error { return errors.New("no") })
	all, err = parts.Choose("broken")
	require.NoError(t, err)
	require.EqualError(t, all[0].Measure(t.Context(), &ran, NewReport(), nil), "broken: no")
}
