package proxy

import (
	"crypto/tls"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/redlane/redlane/mesh"
)

// A pair is a certificate and its key, under the names of two files. What they contain may change; the
// connections that began with the old stay.
type pair struct {
	key pairKey
	now atomic.Pointer[tls.Certificate]
}

type pairKey struct{ cert, key string }

// pair reads a certificate; nil when none is named.
func (n *secured) pair(cert, key mesh.File, old *secured) (*pair, error) {
	if cert.IsZero() {
		return nil, nil
	}
	k := pairKey{cert.Path, key.Path}
	if c := n.pairs[k]; c != nil {
		return c, nil
	}
	loaded, err := mesh.LoadPair(cert, key)
	if err != nil {
		return nil, err
	}
	c := old.pairs[k]
	if c == nil {
		c = &pair{key: k}
		c.now.Store(loaded)
	} else {
		n.fresh = append(n.fresh, func() { c.now.Store(loaded) })
	}
	n.pairs[k] = c
	return c, nil
}

// expiries are when the certificates in use end.
func (n *secured) expiries() iter.Seq2[string, time.Time] {
	return func(yield func(string, time.Time) bool) {
		seen := make(map[string]bool, len(n.pairs))
		for k, c := range n.pairs {
			if seen[k.cert] {
				continue // the same, with another name for its key
			}
			seen[k.cert] = true
			if !yield(k.cert, c.now.Load().Leaf.NotAfter) {
				return
			}
		}
	}
}

// watchCerts returns what looks, each time it is called, whether a certificate or an authority has changed.
func (p *Proxy) watchCerts() func() {
	last := certSum(p.gen.Load().mesh)
	var refused uint64
	return func() {
		c := p.gen.Load().mesh
		sum := certSum(c)
		if sum == last {
			return
		}
		err := p.reloadCerts(c)
		switch {
		case err == nil:
			last, refused = sum, 0
		case refused != sum: // a certificate and its key are two files: the other may be about to follow
			refused = sum
		default:
			last = sum
			p.certFailures.Add(1)
			p.cfg.Logger.Error("certificate refused, the one before stays", "error", err)
		}
	}
}

// reloadCerts reads all files of certificates anew. A new authority makes a new generation: who was let in
// by the old one must show its certificate again.
func (p *Proxy) reloadCerts(c *mesh.Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.gen.Load()
	if g.mesh != c { // reloaded meanwhile, with the files as they are now
		return nil
	}
	n, err := newSecured(c, g.secured)
	if err != nil {
		return err
	}
	p.cfg.Logger.Info("certificates in force")
	if n.sameAs(g.secured) {
		n.commit()
		return nil
	}
	return p.swapSecured(c, n)
}

// sameAs reports whether n differs from old in nothing but the certificates themselves.
func (n *secured) sameAs(old *secured) bool {
	for name, s := range n.servers {
		if s.TLS != old.servers[name].TLS {
			return false
		}
	}
	for name, o := range n.origins {
		if o != old.origins[name] {
			return false
		}
	}
	return true
}

// certSum changes when the content of a file does that c names.
func certSum(c *mesh.Config) uint64 {
	var all xxhash.Digest
	all.Reset()
	for f := range c.TLSFiles() {
		sum := sumOf(f)
		for i := range 8 {
			_, _ = all.Write([]byte{byte(sum >> (8 * i))})
		}
	}
	return all.Sum64()
}

// sumOf is 0 for a file that cannot be read.
func sumOf(f mesh.File) uint64 {
	if f.IsZero() {
		return 0
	}
	b, err := os.ReadFile(f.Path)
	if err != nil {
		return 0
	}
	return xxhash.Sum64(b)
}
