package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

func tapeCatCmd() *cobra.Command {
	var limit uint64
	cmd := &cobra.Command{
		Use:   "cat RECORDING",
		Short: "Print exchanges as JSON lines, in the order in which they started",
		Long: `Prints one JSON object per exchange. Headers are lists of [name, value] in the order of the wire. Text that is
not UTF-8 is in base64, under a key that ends in _base64.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := store.Open(cmd.Context(), args[0])
			if err != nil {
				return usageError("%w", err)
			}
			defer src.Close()
			w := bufio.NewWriter(cmd.OutOrStdout())
			defer w.Flush()
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			x := new(traffic.Exchange)
			for n := uint64(0); limit == 0 || n < limit; n++ {
				if err := src.Next(cmd.Context(), x); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return runError("%w", err)
				}
				if err := enc.Encode(lineOf(x)); err != nil {
					return runError("print exchange: %w", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().Uint64VarP(&limit, "limit", "n", 0, "print at most this many; 0 is all")
	return cmd
}

// An exchangeLine is an exchange as `tape cat` prints it.
type exchangeLine struct {
	ID        string      `json:"id"`
	Time      string      `json:"time"`
	Session   string      `json:"session"`
	Seq       uint64      `json:"seq"`
	Caller    string      `json:"caller,omitempty"`
	Service   string      `json:"service"`
	From      string      `json:"from"`
	Endpoint  string      `json:"endpoint,omitempty"`
	Color     string      `json:"color,omitempty"`
	Lane      string      `json:"lane"`
	Reason    string      `json:"lane_reason"`
	LatencyMS float64     `json:"latency_ms"`
	Flags     string      `json:"flags,omitempty"`
	Fault     string      `json:"fault,omitempty"`
	Weight    float32     `json:"weight,omitempty"`
	Request   messageLine `json:"request"`
	Response  messageLine `json:"response"`
}

type messageLine struct {
	Method     string      `json:"method,omitempty"`
	Target     string      `json:"target,omitempty"`
	Status     int         `json:"status,omitempty"`
	Headers    [][2]string `json:"headers"`
	Trailers   [][2]string `json:"trailers,omitempty"`
	Body       string      `json:"body,omitempty"`
	BodyBase64 []byte      `json:"body_base64,omitempty"`
	BodySize   int64       `json:"body_size"`
}

func lineOf(x *traffic.Exchange) *exchangeLine {
	l := &exchangeLine{
		ID: fmt.Sprintf("%016x", x.ID), Time: time.Unix(0, x.Start).UTC().Format(time.RFC3339Nano),
		Session: fmt.Sprintf("%016x", x.Session), Seq: x.Seq, Caller: x.Src, Service: x.Dst, From: x.SrcAddr.String(),
		Color: string(x.Color), Lane: x.Lane.Name(), Reason: x.LaneReason.String(), LatencyMS: float64(x.Latency) / 1e6,
		Request: messageOf(&x.Request), Response: messageOf(&x.Response),
	}
	if x.DstAddr.IsValid() {
		l.Endpoint = x.DstAddr.String()
	}
	if x.Flags != 0 {
		l.Flags = x.Flags.String()
	}
	if x.Fault.Hit {
		l.Fault = x.Fault.Rule
	}
	if x.Weight != 1 {
		l.Weight = x.Weight
	}
	return l
}

func messageOf(m *traffic.Message) messageLine {
	l := messageLine{
		Method: string(m.Method), Target: string(m.Target), Status: m.Status,
		Headers: headerLines(m.Headers), Trailers: headerLines(m.Trailers), BodySize: m.BodySize,
	}
	if utf8.Valid(m.Body) {
		l.Body = string(m.Body)
	} else {
		l.BodyBase64 = m.Body
	}
	return l
}

func headerLines(hs []traffic.Header) [][2]string {
	lines := make([][2]string, len(hs))
	for i, h := range hs {
		lines[i] = [2]string{string(h.Name), string(h.Value)}
	}
	return lines
}
