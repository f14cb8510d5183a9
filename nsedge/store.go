package nsedge

import "context"

// Store is what the edge keeps its state in: documents that are durable when
// Put returns, and small states that are written at once and durable a little
// later. gatewayd/nsedge/store has it.
type Store interface {
	Put(bucket string, key, value []byte) error
	Get(bucket string, key []byte) ([]byte, error) // nil, nil if absent
	Delete(bucket string, key []byte) error
	Each(bucket string, f func(k, v []byte) error) error

	Append(key [8]byte, value []byte) error
	EachState(f func(key [8]byte, value []byte) error) error
	Forget(key [8]byte) error
	Sync(ctx context.Context) error // everything appended before is durable
}

// Buckets of documents, by DevEUI.
const (
	bucketDevices = "devices" // what was registered: document.go
	bucketJoins   = "joins"   // nonces and joined sessions: joinstate.go
)
