package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// KVConfig of a set of values. Zero fields take the default named beside them.
type KVConfig struct {
	// TTL is how long a value stays that is not written again: a lease. 0 means for ever; at least 100ms.
	// Watchers are told when one has gone.
	TTL time.Duration
	// Memory keeps the values in the server's memory only.
	Memory bool
}

// A KV holds the latest value of every key. Every write has a revision, higher than all before it.
type KV struct {
	kv   jetstream.KeyValue
	name string
}

var (
	ErrNotFound = errors.New("no such key")
	// ErrConflict is what a write gets whose revision is not the latest: somebody else has written.
	ErrConflict = errors.New("somebody else has written it")
)

// KV opens the set called name (letters, digits, - and _), which is made where there is none.
func (b *Bus) KV(ctx context.Context, name string, cfg KVConfig) (*KV, error) {
	c := jetstream.KeyValueConfig{Bucket: name, TTL: cfg.TTL, History: 1, Storage: jetstream.FileStorage}
	if cfg.Memory {
		c.Storage = jetstream.MemoryStorage
	}
	if cfg.TTL > 0 {
		c.LimitMarkerTTL = max(cfg.TTL, time.Second)
	}
	kv, err := b.js.CreateOrUpdateKeyValue(ctx, c)
	if err != nil {
		return nil, explain("open values "+name, err)
	}
	return &KV{kv, name}, nil
}

// DropKV removes a set and its values; one that is not there is removed already.
func (b *Bus) DropKV(ctx context.Context, name string) error {
	if err := b.js.DeleteKeyValue(ctx, name); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return explain("drop values "+name, err)
	}
	return nil
}

// Get returns the latest value of key, or ErrNotFound.
func (k *KV) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	e, err := k.kv.Get(ctx, key)
	if err != nil {
		return nil, 0, k.explain("get", key, err)
	}
	return e.Value(), e.Revision(), nil
}

// Put writes whatever was there.
func (k *KV) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if revision, err = k.kv.Put(ctx, key, value); err != nil {
		return 0, k.explain("put", key, err)
	}
	return revision, nil
}

// Create writes a key that is not there, or returns ErrConflict.
func (k *KV) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if revision, err = k.kv.Create(ctx, key, value); err != nil {
		return 0, k.explain("create", key, err)
	}
	return revision, nil
}

// Update writes a key whose latest revision is last, or returns ErrConflict. With any other error it may have
// been written all the same.
func (k *KV) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	if revision, err = k.kv.Update(ctx, key, value, last); err != nil {
		return 0, k.explain("update", key, err)
	}
	return revision, nil
}

// Delete removes a key, whatever its revision.
func (k *KV) Delete(ctx context.Context, key string) error {
	if err := k.kv.Delete(ctx, key); err != nil {
		return k.explain("delete", key, err)
	}
	return nil
}

// An Entry is a key as a watcher sees it.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
	Gone     bool // deleted, or its TTL is over
}

// Watch calls f for the latest value of every key that pattern (a key, or with * and >) names, and then for
// every change, in order, on one goroutine. stop returns when f is not called any more.
func (k *KV) Watch(ctx context.Context, pattern string, f func(Entry)) (stop func(), err error) {
	w, err := k.kv.Watch(ctx, pattern)
	if err != nil {
		return nil, k.explain("watch", pattern, err)
	}
	ended := make(chan struct{})
	quit := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case e, ok := <-w.Updates():
				switch {
				case !ok:
					return
				case e != nil: // nil separates what was there from what changes
					f(Entry{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), Gone: e.Operation() != jetstream.KeyValuePut})
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
		_ = w.Stop() // on a lost connection the server forgets it by itself
	}, nil
}

func (k *KV) explain(act, key string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return fmt.Errorf("%s %s of %s: %w", act, key, k.name, ErrNotFound)
	case errors.Is(err, jetstream.ErrKeyExists), isWrongRevision(err):
		return fmt.Errorf("%s %s of %s: %w", act, key, k.name, ErrConflict)
	}
	return explain(act+" "+key+" of "+k.name, err)
}

func isWrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
