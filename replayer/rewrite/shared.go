package rewrite

import (
	"bytes"
	"sync"
)

// shared is what sessions tell one another, when that was asked for: strong values only, those of clones
// apart. Many loops use it.
type shared struct {
	shards [64]struct {
		sync.Mutex
		young, old map[uint64]*entry
	}
}

// maxShared bounds the values of a shard, in each of two generations.
const maxShared = 1 << 13

func newShared() *shared {
	s := new(shared)
	for i := range s.shards {
		s.shards[i].young, s.shards[i].old = make(map[uint64]*entry), make(map[uint64]*entry)
	}
	return s
}

func sharedKey(clone int, v []byte) uint64 { return mix(hash(v) + uint64(clone)) }

func (s *shared) put(clone int, recorded, replayed []byte, number bool) {
	key := sharedKey(clone, recorded)
	e := &entry{recorded: bytes.Clone(recorded), replayed: bytes.Clone(replayed), number: number}
	shard := &s.shards[key%uint64(len(s.shards))]
	shard.Lock()
	defer shard.Unlock()
	if len(shard.young) >= maxShared {
		clear(shard.old)
		shard.young, shard.old = shard.old, shard.young
	}
	shard.young[key] = e
}

// lookup returns an entry that is never changed again.
func (s *shared) lookup(clone int, v []byte) *entry {
	key := sharedKey(clone, v)
	shard := &s.shards[key%uint64(len(s.shards))]
	shard.Lock()
	defer shard.Unlock()
	e := shard.young[key]
	if e == nil {
		e = shard.old[key]
	}
	if e == nil || !bytes.Equal(e.recorded, v) {
		return nil
	}
	return e
}
