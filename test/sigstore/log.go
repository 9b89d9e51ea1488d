package sigstore

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore/pkg/signature"
	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	merkle "github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"
)

// Rekor1Tree is the number of the tree that is active in the log of the Rekor v1
// kind.
const Rekor1Tree = 1193050959916656506

// Rekor2Origin is what the checkpoints of the log of the Rekor v2 kind name it.
const Rekor2Origin = rekor2Host

const (
	rekor1Host = "rekor.sigstore.example"
	rekor2Host = "log.sigstore.example"

	// rekor1Before is how many entries are in the trees that the log had
	// before: as with the public instance, an index in the log is not the index
	// in the tree.
	rekor1Before = 4163431
)

// tree is a log's Merkle tree.
type tree struct {
	mutex  sync.Mutex
	merkle *merkle.Tree
}

func newTree() tree { return tree{merkle: merkle.New(rfc6962.DefaultHasher)} }

// add appends a leaf, and proves that the tree has it. The checkpoint is still
// to be added to the proof.
func (t *tree) add(leaf []byte) (*rekorpb.InclusionProof, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.merkle.AppendData(leaf)
	size := t.merkle.Size()
	hashes, err := t.merkle.InclusionProof(size-1, size)
	if err != nil {
		return nil, err
	}
	return &rekorpb.InclusionProof{
		LogIndex: int64(size) - 1,
		TreeSize: int64(size),
		RootHash: t.merkle.Hash(),
		Hashes:   hashes,
	}, nil
}

// rekor1 is a log with the interface of Rekor v1: it promises inclusion at a
// time, and signs checkpoints of one of its trees.
type rekor1 struct {
	tree
	key *ecdsa.PrivateKey
	id  [sha256.Size]byte
}

func (s *Sigstore) makeRekor1() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	s.rekor1 = &rekor1{tree: newTree(), key: key, id: sha256.Sum256(public)}
	return nil
}

// LogRekor1 adds an entry to the log of the Rekor v1 kind. The body is JSON as
// Rekor canonicalizes it, kind and version repeat what it says, and the time is
// cut to seconds.
func (s *Sigstore) LogRekor1(body []byte, kind, version string, at time.Time) (*rekorpb.TransparencyLogEntry, error) {
	proof, err := s.rekor1.add(body)
	if err != nil {
		return nil, fmt.Errorf("adding to the log: %w", err)
	}
	signed, err := s.rekor1.checkpoint(proof)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	proof.Checkpoint = &rekorpb.Checkpoint{Envelope: string(signed)}
	entry := &rekorpb.TransparencyLogEntry{
		LogIndex:          rekor1Before + proof.GetLogIndex(),
		LogId:             &common.LogId{KeyId: s.rekor1.id[:]},
		KindVersion:       &rekorpb.KindVersion{Kind: kind, Version: version},
		IntegratedTime:    at.Unix(),
		InclusionProof:    proof,
		CanonicalizedBody: body,
	}
	promise, err := s.Promise(entry)
	if err != nil {
		return nil, err
	}
	entry.InclusionPromise = &rekorpb.InclusionPromise{SignedEntryTimestamp: promise}
	return entry, nil
}

// Promise is the log's signed entry timestamp for what the entry says: its
// body, log, index and time.
func (s *Sigstore) Promise(entry *rekorpb.TransparencyLogEntry) ([]byte, error) {
	payload, err := json.Marshal(rekorPayload(entry))
	if err != nil {
		return nil, fmt.Errorf("encoding the entry: %w", err)
	}
	canonical, err := jsoncanonicalizer.Transform(payload)
	if err != nil {
		return nil, fmt.Errorf("encoding the entry: %w", err)
	}
	hashed := sha256.Sum256(canonical)
	promise, err := ecdsa.SignASN1(rand.Reader, s.rekor1.key, hashed[:])
	if err != nil {
		return nil, fmt.Errorf("promising inclusion: %w", err)
	}
	return promise, nil
}

// rekorPayload is the entry as a signed entry timestamp and the v2 format have
// it.
func rekorPayload(entry *rekorpb.TransparencyLogEntry) cosignbundle.RekorPayload {
	return cosignbundle.RekorPayload{
		Body:           base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()),
		IntegratedTime: entry.GetIntegratedTime(),
		LogIndex:       entry.GetLogIndex(),
		LogID:          hex.EncodeToString(entry.GetLogId().GetKeyId()),
	}
}

func (r *rekor1) checkpoint(proof *rekorpb.InclusionProof) ([]byte, error) {
	signer, err := signature.LoadECDSASigner(r.key, rekorHash)
	if err != nil {
		return nil, err
	}
	return util.CreateAndSignCheckpoint(context.Background(), rekor1Host, Rekor1Tree,
		uint64(proof.GetTreeSize()), proof.GetRootHash(), signer)
}

// rekor2 is a log with the interface of Rekor v2: it tells no time.
type rekor2 struct {
	tree
	key ed25519.PrivateKey
	id  []byte
}

func (s *Sigstore) makeRekor2() error {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, id, err := rekornote.KeyHash(rekor2Host, public)
	if err != nil {
		return err
	}
	s.rekor2 = &rekor2{tree: newTree(), key: key, id: id}
	return nil
}

// LogRekor2 adds an entry to the log of the Rekor v2 kind. The body is JSON as
// Rekor canonicalizes it, of a hashedrekord 0.0.2.
func (s *Sigstore) LogRekor2(body []byte) (*rekorpb.TransparencyLogEntry, error) {
	proof, err := s.rekor2.add(body)
	if err != nil {
		return nil, fmt.Errorf("adding to the log: %w", err)
	}
	signed, err := s.rekor2.checkpoint(proof)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	proof.Checkpoint = &rekorpb.Checkpoint{Envelope: string(signed)}
	return &rekorpb.TransparencyLogEntry{
		LogIndex:          proof.GetLogIndex(),
		LogId:             &common.LogId{KeyId: s.rekor2.id},
		KindVersion:       &rekorpb.KindVersion{Kind: kindHashedRekord, Version: hashedRekord2},
		InclusionProof:    proof,
		CanonicalizedBody: body,
	}, nil
}

func (r *rekor2) checkpoint(proof *rekorpb.InclusionProof) ([]byte, error) {
	signer, err := signature.LoadED25519Signer(r.key)
	if err != nil {
		return nil, err
	}
	noteSigner, err := rekornote.NewNoteSigner(context.Background(), rekor2Host, signer)
	if err != nil {
		return nil, err
	}
	text := checkpoint.Checkpoint{
		Origin: rekor2Host,
		Size:   uint64(proof.GetTreeSize()),
		Hash:   proof.GetRootHash(),
	}.Marshal()
	return note.Sign(&note.Note{Text: string(text)}, noteSigner)
}
