package secure

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// A result is how a handshake ended.
type result uint8

const (
	resultOK          result = iota
	resultResumed            // with a ticket of an earlier connection
	resultTimeout            //
	resultClosed             // the peer went away
	resultRefused            // too many at once
	resultPlaintext          // the client speaks no TLS
	resultAlert              // the peer did not like what it saw, our certificate for one
	resultCertificate        // we did not like the peer's, or it has none
	resultProtocol           // no version, suite or ALPN in common, or not TLS at all
	resultGivenUp            // by the Handler, or at the end of Run
	results
)

var resultNames = [results]string{
	"ok", "resumed", "timeout", "closed", "refused", "plaintext", "alert", "certificate", "protocol", "given_up",
}

func (r result) String() string { return resultNames[r] }

// resultOf classifies the error of a handshake whose last record was of this type.
func resultOf(err error, last byte) result {
	var op *net.OpError
	var peer *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errGivenUp):
		return resultGivenUp
	case errors.As(err, &op) && op.Op == "remote error", last == recordAlert:
		return resultAlert
	case errors.Is(err, errEnded), errors.As(err, &op) && op.Op != "local error":
		return resultClosed
	case errors.As(err, &peer), strings.Contains(err.Error(), "certificate"): // crypto/tls has no type for the rest
		return resultCertificate
	}
	return resultProtocol
}

// recordAlert is the type of an alert in clear. OpenSSL sends one when it does not like a certificate, at
// a point where crypto/tls expects it encrypted and can make nothing of it.
const recordAlert = 21

// stats are written by one loop and read by anybody.
type stats struct {
	results [2][results]atomic.Uint64 // by side: server, client
	active  atomic.Int64              // clients that are not known to the Handler yet
}

// count notes, once, how the handshake of c ended. A dial that found no connection was none.
func (c *conn) count(r result) {
	if c.counted || c.phase == dialling {
		return
	}
	c.counted = true
	l, side := c.loop, 0
	if c.server == nil {
		side = 1
	} else {
		l.stats.active.Add(-1)
		if c.shake != nil {
			l.shaking--
		}
		l.nobody = l.nobody || r > resultResumed
	}
	l.stats.results[side][r].Add(1)
}

// A Count is how many handshakes of one side, server or client, ended in one way.
type Count struct {
	Side, Result string
	N            uint64
}

// Handshakes are the counts of all loops, in a fixed order and without those that are 0. It may be called
// at any time.
func (d *Driver) Handshakes() (all []Count) {
	for side, name := range [2]string{"server", "client"} {
		for r := range results {
			var n uint64
			for _, l := range d.loops {
				n += l.stats.results[side][r].Load()
			}
			if n > 0 {
				all = append(all, Count{name, r.String(), n})
			}
		}
	}
	return all
}

// Handshaking is how many clients are at their handshake, those that have not said anything included.
func (d *Driver) Handshaking() (n int) {
	for _, l := range d.loops {
		n += l.Handshaking()
	}
	return n
}

// log tells about handshakes of ours that failed, which somebody will have to put right, once a second and
// loop at most. A client that fails is the client's business.
func (c *conn) log(why result, err error) {
	l := c.loop
	logger := l.driver.cfg.Logger
	if c.server != nil || why == resultGivenUp {
		logger.Debug("TLS handshake", "client", c.from.String(), "result", why.String(), "error", err)
		return
	}
	if now := l.Now(); now.Sub(l.lastWarning) >= warnEvery {
		l.lastWarning = now
		logger.Warn("TLS handshake", "server", c.addr, "result", why.String(), "error", err)
	}
}

const warnEvery = time.Second
