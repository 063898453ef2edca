package netfault

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLeaseSurvivesJSON(t *testing.T) {
	for _, want := range []Lease{
		{ID: "a", Fault: FaultPartition, Lane: "red", From: "shop", To: "bank", Way: Both, TTL: time.Second},
		{Fault: FaultPartition, Mark: 1<<32 - 1, TTL: 90 * time.Second},
		{Fault: FaultImpair, From: "shop", To: "bank", Mark: 42, Seed: 1<<64 - 1, TTL: time.Minute,
			Impair: Impair{Loss: 0.07, Burst: 2.5, Duplicate: 0.1, Reorder: 0.3, Delay: 20 * ms, Jitter: 1, Rate: 1500}},
	} {
		data, err := json.Marshal(want)
		require.NoError(t, err)
		var got Lease
		require.NoError(t, json.Unmarshal(data, &got), string(data))
		require.Equal(t, want, got)
	}
	l := Lease{Fault: FaultImpair, From: "a", To: "b", Way: Both, Mark: 42, Impair: Impair{Delay: ms}}
	require.Equal(t, "a <-> b, mark 0x2a: delay 1ms", l.String())
	l = Lease{Fault: FaultPartition, Mark: 42}
	require.Equal(t, "this namespace -> anywhere, mark 0x2a: partition", l.String())
}

// Whatever the bytes: one line says what is wrong, or the lease can be written and read again.
func FuzzLease(f *testing.F) {
	f.Add(`{"fault":"impair","from":"shop","to":"bank","way":"both","delay":"5ms","jitter":"1ms","loss":0.02,"burst":3,"ttl":"30s"}`)
	f.Add("{\"fault\":\n\t\"partition\",\"mark\":\"0x2a\",\"ttl\":\"1s\"}")
	f.Add(`{"fault":"impair","mark":42,"rate":"1MiB","duplicate":"1%","reorder":"1%","seed":18446744073709551615}`)
	f.Add(`[]`)
	f.Add(`{"fault":null,"loss":{}}`)
	f.Fuzz(func(t *testing.T, data string) {
		var l Lease
		if err := l.UnmarshalJSON([]byte(data)); err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		if err := l.Check(MaxTTL); err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := json.Marshal(l)
		require.NoError(t, err)
		var back Lease
		require.NoError(t, back.UnmarshalJSON(again), string(again))
		require.Equal(t, l, back)
		require.True(t, l.TTL > 0 && l.TTL <= MaxTTL && (l.Mark != 0 || l.From != "" && l.To != ""))
	})
}

// Whatever comes through the pipe, there is an answer to every line, and nothing is done that no note asked for.
func FuzzUndo(f *testing.F) {
	f.Add("{\"arm\":{\"space\":\"/nothing\",\"table\":\"t\"}}\n{\"disarm\":{\"space\":\"/nothing\"}}\n")
	f.Add("\n\nnull\n{}\n{\"arm\":null}")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "proc") {
			return // a namespace that is there could be opened, and a table of that name removed
		}
		var said bytes.Buffer
		require.NoError(t, undoAll(strings.NewReader(text), &said))
		require.LessOrEqual(t, strings.Count(said.String(), "\n"), strings.Count(text, "\n")+1)
	})
}

// Packets that are none, or not for anybody in particular, are not sent on.
func FuzzForeign(f *testing.F) {
	f.Add([]byte{0x45})
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if foreign(packet) {
			return
		}
		require.True(t, packet[0]>>4 == 4 && len(packet) >= 20 || packet[0]>>4 == 6 && len(packet) >= 40)
		r := resender{-1, -1}
		require.Error(t, r.send(packet), "there is no socket")
	})
}

// An answer that cannot be written means that nobody is there: all is taken back.
func TestUndoWithNobodyListening(t *testing.T) {
	require.NoError(t, undoAll(strings.NewReader("{}\n{}\n"), brokenPipe{}))
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
