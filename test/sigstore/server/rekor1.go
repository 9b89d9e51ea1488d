package server

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // the kinds of entry that are taken
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // "
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"       // "
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/assay-dev/assay/test/sigstore"
)

// rekor1 has the interface of Rekor v1, as far as signing and verifying need it.
// What is to be logged goes through Rekor's own packages, so that an entry whose
// signature does not verify is refused.
//
// https://github.com/sigstore/rekor/blob/v1.5.3/openapi.yaml
type rekor1 struct {
	sigstore *sigstore.Sigstore

	mu      sync.Mutex
	entries map[string]models.LogEntryAnon // by identifier
	indices map[int64]string               // identifiers, by index
}

// maxRequest bounds what is read of a request, in bytes.
const maxRequest = 4 << 20

// NewRekor1 serves the log of the Rekor v1 kind of an instance.
func NewRekor1(s *sigstore.Sigstore) http.Handler {
	r := &rekor1{sigstore: s, entries: map[string]models.LogEntryAnon{}, indices: map[int64]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/log/publicKey", r.publicKey)
	mux.HandleFunc("POST /api/v1/log/entries", r.create)
	mux.HandleFunc("GET /api/v1/log/entries", r.byIndex)
	mux.HandleFunc("GET /api/v1/log/entries/{id}", func(w http.ResponseWriter, request *http.Request) {
		r.answer(w, request.PathValue("id"))
	})
	return mux
}

func (r *rekor1) publicKey(w http.ResponseWriter, _ *http.Request) {
	keys, err := r.sigstore.Keys()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(keys.Rekor1Public) // The client may be gone.
}

// answerJSON writes an answer, to a client whose going away concerns nobody.
func answerJSON(w http.ResponseWriter, code int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(content)
}

// refuse answers with Rekor's error.
func refuse(w http.ResponseWriter, code int, message string) {
	answerJSON(w, code, models.Error{Code: int64(code), Message: message})
}

func (r *rekor1) create(w http.ResponseWriter, request *http.Request) {
	body, kind, version, err := canonical(request.Context(), http.MaxBytesReader(w, request.Body, maxRequest))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	id := fmt.Sprintf("%016x%x", uint64(sigstore.Rekor1Tree), rfc6962.DefaultHasher.HashLeaf(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Location", "/api/v1/log/entries/"+id)
	w.Header().Set("ETag", id) // By which clients find the entry in the answer.
	if _, ok := r.entries[id]; ok {
		refuse(w, http.StatusConflict, "an equivalent entry already exists in the transparency log with UUID "+id)
		return
	}
	logged, err := r.sigstore.LogRekor1(body, kind, version, time.Now())
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	r.entries[id], r.indices[logged.GetLogIndex()] = entryOf(logged), id
	answerJSON(w, http.StatusCreated, models.LogEntry{id: r.entries[id]})
}

// canonical is what the log keeps of a proposed entry.
func canonical(ctx context.Context, content io.Reader) (body []byte, kind, version string, err error) {
	proposed, err := models.UnmarshalProposedEntry(content, consumer{})
	if err != nil {
		return nil, "", "", err
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, "", "", err
	}
	body, err = types.CanonicalizeEntry(ctx, entry)
	return body, proposed.Kind(), entry.APIVersion(), err
}

// consumer decodes JSON as Rekor does.
type consumer struct{}

func (consumer) Consume(content io.Reader, into any) error {
	decoder := json.NewDecoder(content)
	decoder.UseNumber()
	return decoder.Decode(into)
}

func (r *rekor1) byIndex(w http.ResponseWriter, request *http.Request) {
	index, err := strconv.ParseInt(request.URL.Query().Get("logIndex"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	r.mu.Lock()
	id := r.indices[index]
	r.mu.Unlock()
	r.answer(w, id)
}

func (r *rekor1) answer(w http.ResponseWriter, id string) {
	r.mu.Lock()
	entry, ok := r.entries[id]
	r.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "no such entry")
		return
	}
	answerJSON(w, http.StatusOK, models.LogEntry{id: entry})
}

// entryOf is an entry as Rekor v1 answers with it.
func entryOf(logged *rekorpb.TransparencyLogEntry) models.LogEntryAnon {
	proof := logged.GetInclusionProof()
	hashes := make([]string, len(proof.GetHashes()))
	for i, hash := range proof.GetHashes() {
		hashes[i] = hex.EncodeToString(hash)
	}
	return models.LogEntryAnon{
		Body:           logged.GetCanonicalizedBody(), // Encoded in base64, as all bytes.
		IntegratedTime: new(logged.GetIntegratedTime()),
		LogID:          new(hex.EncodeToString(logged.GetLogId().GetKeyId())),
		LogIndex:       new(logged.GetLogIndex()),
		Verification: &models.LogEntryAnonVerification{
			InclusionProof: &models.InclusionProof{
				Checkpoint: new(proof.GetCheckpoint().GetEnvelope()),
				Hashes:     hashes,
				LogIndex:   new(proof.GetLogIndex()),
				RootHash:   new(hex.EncodeToString(proof.GetRootHash())),
				TreeSize:   new(proof.GetTreeSize()),
			},
			SignedEntryTimestamp: logged.GetInclusionPromise().GetSignedEntryTimestamp(),
		},
	}
}
