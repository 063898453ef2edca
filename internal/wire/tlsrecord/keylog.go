package tlsrecord

import (
	"bytes"
	"encoding/hex"
	"maps"
)

// A KeyLog holds the secrets of connections by the client's random, as NSS, OpenSSL, Go and browsers write them
// to SSLKEYLOGFILE. The nil one is empty. It is not safe to Add while others read.
type KeyLog struct{ secrets map[secretID][]byte }

type secretID struct {
	label  label
	random [32]byte
}

type label uint8

const (
	master label = iota // TLS 1.2
	clientHandshake
	serverHandshake
	clientTraffic
	serverTraffic
	numLabels
)

var labels = [numLabels]string{
	"CLIENT_RANDOM", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
	"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0",
}

// maxSecret is the longest secret in bytes: SHA-384's, and TLS 1.2's master.
const maxSecret = 48

// Add takes in lines of a key log and returns how many secrets they had that may be of use. What is not
// understood, such as comments and other labels, is passed over. b is not kept.
func (k *KeyLog) Add(b []byte) (n int) {
	for line := range bytes.Lines(b) {
		if k.add(bytes.Fields(line)) {
			n++
		}
	}
	return n
}

func (k *KeyLog) add(fields [][]byte) bool {
	if len(fields) != 3 {
		return false
	}
	for l, name := range labels {
		if string(fields[0]) != name {
			continue
		}
		id := secretID{label: label(l)}
		if len(fields[1]) != 2*len(id.random) || len(fields[2]) == 0 || len(fields[2]) > 2*maxSecret {
			return false
		}
		if _, err := hex.Decode(id.random[:], fields[1]); err != nil {
			return false
		}
		secret := make([]byte, len(fields[2])/2)
		if _, err := hex.Decode(secret, fields[2]); err != nil {
			return false
		}
		if k.secrets == nil {
			k.secrets = make(map[secretID][]byte)
		}
		k.secrets[id] = secret
		return true
	}
	return false
}

// Len is the number of secrets.
func (k *KeyLog) Len() int {
	if k == nil {
		return 0
	}
	return len(k.secrets)
}

// Clone is a KeyLog with the same secrets that can be added to by itself.
func (k *KeyLog) Clone() *KeyLog {
	if k == nil {
		return new(KeyLog)
	}
	return &KeyLog{maps.Clone(k.secrets)}
}

// secret is nil when the log does not have it.
func (k *KeyLog) secret(l label, random *[32]byte) []byte {
	if k == nil {
		return nil
	}
	return k.secrets[secretID{l, *random}]
}
