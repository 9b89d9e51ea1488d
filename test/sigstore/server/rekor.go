package server

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"         // a kind of entry
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // the other one
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/rfc6962"
	"google.golang.org/protobuf/encoding/protojson"
)

const entriesPath = "/api/v1/log/entries"

// rekor1 adds an entry, or says that it has it, or gives it out.
func (s *Servers) rekor1(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet {
		s.mutex.Lock()
		entry, ok := s.entries[r.URL.Path]
		s.mutex.Unlock()
		if !ok {
			return errors.New("no such entry")
		}
		return s.write(w, http.StatusOK, entry)
	}
	if r.URL.Path != entriesPath {
		return fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	body, kind, version, err := canonical(r)
	if err != nil {
		return err
	}
	id := hex.EncodeToString(rfc6962.DefaultHasher.HashLeaf(body))
	location := entriesPath + "/" + id
	w.Header().Set("Location", location)
	s.mutex.Lock()
	_, exists := s.entries[location]
	s.mutex.Unlock()
	if exists {
		return s.write(w, http.StatusConflict, []byte(`{"code":409,"message":"an equivalent entry already exists"}`))
	}
	made, err := s.sigstore.LogRekor1(body, kind, version, time.Now())
	if err != nil {
		return err
	}
	entry, err := json.Marshal(models.LogEntry{id: anonymous(made)})
	if err != nil {
		return err
	}
	s.mutex.Lock()
	s.entries[location] = entry
	s.mutex.Unlock()
	w.Header().Set("ETag", id)
	return s.write(w, http.StatusCreated, entry)
}

func (s *Servers) write(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// canonical reads a proposed entry as Rekor does, which verifies the signature in
// it.
func canonical(r *http.Request) (body []byte, kind, version string, err error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", "", err
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, "", "", err
	}
	var proposed models.ProposedEntry
	switch head.Kind {
	case "hashedrekord":
		proposed = new(models.Hashedrekord)
	case "dsse":
		proposed = new(models.DSSE)
	default:
		return nil, "", "", fmt.Errorf("unknown kind %q", head.Kind)
	}
	if err := json.Unmarshal(raw, proposed); err != nil {
		return nil, "", "", err
	}
	entry, err := types.UnmarshalEntry(proposed)
	if err != nil {
		return nil, "", "", err
	}
	body, err = types.CanonicalizeEntry(r.Context(), entry)
	return body, head.Kind, entry.APIVersion(), err
}

// anonymous is an entry as Rekor v1 writes it.
func anonymous(e *rekorpb.TransparencyLogEntry) models.LogEntryAnon {
	p := e.GetInclusionProof()
	id, root := hex.EncodeToString(e.GetLogId().GetKeyId()), hex.EncodeToString(p.GetRootHash())
	var hashes []string
	for _, h := range p.GetHashes() {
		hashes = append(hashes, hex.EncodeToString(h))
	}
	return models.LogEntryAnon{
		Body:           base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody()),
		IntegratedTime: &e.IntegratedTime, LogIndex: &e.LogIndex, LogID: &id,
		Verification: &models.LogEntryAnonVerification{
			SignedEntryTimestamp: e.GetInclusionPromise().GetSignedEntryTimestamp(),
			InclusionProof: &models.InclusionProof{
				LogIndex: &p.LogIndex, TreeSize: &p.TreeSize, RootHash: &root, Hashes: hashes, Checkpoint: &p.Checkpoint.Envelope,
			},
		},
	}
}

// algorithms are those that Rekor v2 takes unless it is told otherwise.
var algorithms = []common.PublicKeyDetails{
	common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, common.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
	common.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512, common.PublicKeyDetails_PKIX_ED25519_PH,
	common.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, common.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
	common.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
}

// rekor2 adds an entry, or says that it has it.
func (s *Servers) rekor2(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/api/v2/log/entries" {
		return fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var asked tiles.CreateEntryRequest
	if err := protojson.Unmarshal(raw, &asked); err != nil {
		return err
	}
	taken, err := signature.NewAlgorithmRegistryConfig(algorithms)
	if err != nil {
		return err
	}
	entry, err := hashedrekord.ToLogEntry(asked.GetHashedRekordRequestV002(), taken)
	if err != nil {
		return err
	}
	document, err := protojson.Marshal(entry)
	if err != nil {
		return err
	}
	body, err := jsoncanonicalizer.Transform(document)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	_, exists := s.entries[string(body)]
	s.entries[string(body)] = body
	s.mutex.Unlock()
	if exists {
		return s.write(w, http.StatusConflict, []byte(`{"code":6,"message":"an equivalent entry already exists in the transparency log with index 0"}`))
	}
	made, err := s.sigstore.LogRekor2(body)
	if err != nil {
		return err
	}
	answer, err := protojson.Marshal(made)
	if err != nil {
		return err
	}
	return s.write(w, http.StatusCreated, answer)
}
