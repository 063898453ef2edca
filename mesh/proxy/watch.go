package proxy

import (
	"context"
	"os"

	"github.com/cespare/xxhash/v2"

	"github.com/redlane/redlane/mesh"
)

// watch reloads the file, and those of certificates, whenever the content has changed. It looks at the content and not at a time
// stamp alone: mounted configuration is replaced by renaming links, and copies keep old times.
func (p *Proxy) watch(ctx context.Context) {
	last := p.cfg.Mesh.Sum // not of what the file holds by now: it may have changed since
	certs := p.watchCerts()
	for p.cfg.Clock.SleepUntil(ctx, p.cfg.Clock.Now().Add(p.cfg.Watch)) == nil {
		certs()
		data, err := os.ReadFile(p.cfg.Path)
		if err != nil { // being replaced, or gone: what is in force stays
			continue
		}
		if sum := xxhash.Sum64(data); sum != last {
			last = sum
			_ = p.ReloadFile() // it has counted and logged the error, and what is in force stays
		}
	}
}

// ReloadFile loads Config.Path anew and puts it into force, as a change of the file does.
func (p *Proxy) ReloadFile() error {
	c, err := mesh.Load(p.cfg.Path)
	if err != nil {
		p.reloadFailures.Add(1)
		p.cfg.Logger.Error("configuration refused, the one before stays", "error", err)
		return err
	}
	return p.Reload(c)
}
